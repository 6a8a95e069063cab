#include "composing.h"

#include <utility>

namespace hasp::sync {

namespace {

constexpr std::size_t of_basis = 0;
constexpr std::size_t of_fresh = 1;

// Somebody else's.
class Lent final : public ReadFile {
  public:
    explicit Lent(ReadFile& file) : file_(file) {}
    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
        return file_.read(offset, into);
    }
    Result<FileStat> stat() override { return file_.stat(); }

  private:
    ReadFile& file_;
};

std::unique_ptr<ReadFile> joined(std::vector<Extent> pieces, ReadFile& basis, ReadFile& fresh) {
    std::vector<std::unique_ptr<ReadFile>> sources;
    sources.push_back(std::make_unique<Lent>(basis));
    sources.push_back(std::make_unique<Lent>(fresh));
    return assembled({{"", ""}, std::move(pieces)}, std::move(sources));
}

} // namespace

Composing::Composing(Disk& disk, std::string path, ReadFile& basis, std::uint64_t copy_least)
    : disk_(disk), path_(std::move(path)), basis_(basis), copy_least_(copy_least),
      fresh_(disk, path_ + ".new") {}

Status Composing::written(Status status) {
    could_not_write_ = could_not_write_ || !status;
    return status;
}

void Composing::name_by_chunks(std::shared_ptr<const ChunkList> chunks) {
    by_chunks_ = true;
    of_basis_ = std::move(chunks);
}

Status Composing::fresh(std::string_view bytes) {
    Status put = end_run();
    if (!by_chunks_) {
        sum_.update(bytes);
    }
    size_ += bytes.size();
    return !put ? put : whole_ ? written(whole_->write(bytes)) : put_fresh(bytes);
}

Status Composing::copied(std::uint64_t from, std::uint64_t length) {
    const bool goes_on = run_length_ > 0 && run_from_ + run_length_ == from;
    Status put = goes_on ? Status{} : end_run();
    size_ += length;
    if (put && (whole_ || !by_chunks_)) {
        put = read_range(basis_, from, length, [this](std::string_view bytes) {
            if (!by_chunks_) {
                sum_.update(bytes);
            }
            return whole_ ? written(whole_->write(bytes)) : Status{};
        });
    }
    if (!put || whole_) {
        return put;
    }
    if (!goes_on) {
        run_from_ = from;
    }
    run_length_ += length;
    return {};
}

Status Composing::end_run() {
    const std::uint64_t length = std::exchange(run_length_, 0);
    if (length >= copy_least_ || length == 0) {
        return put(of_basis, run_from_, length);
    }
    return read_range(basis_, run_from_, length,
                      [this](std::string_view bytes) { return put_fresh(bytes); });
}

Status Composing::put_fresh(std::string_view bytes) {
    if (Status kept = written(fresh_.write(bytes)); !kept) {
        return kept;
    }
    fresh_sum_.update(bytes);
    const std::uint64_t from = std::exchange(fresh_size_, fresh_size_ + bytes.size());
    return put(of_fresh, from, bytes.size());
}

Status Composing::put(std::size_t source, std::uint64_t from, std::uint64_t length) {
    if (length == 0) {
        return {};
    }
    if (!pieces_.empty() && pieces_.back().source == source &&
        pieces_.back().from + pieces_.back().length == from) {
        pieces_.back().length += length;
        return {};
    }
    pieces_.push_back({source, from, length});
    return pieces_.size() <= recipe_extents_max ? Status{} : give_up_pieces();
}

Status Composing::give_up_pieces() {
    auto fresh = fresh_.finish();
    if (!fresh) {
        return written(fresh.error());
    }
    const auto content = joined(std::exchange(pieces_, {}), basis_, **fresh);
    whole_.emplace(disk_, path_ + ".all");
    auto copied =
        digest(*content, [this](std::string_view bytes) { return written(whole_->write(bytes)); });
    return copied ? Status{} : Status(copied.error());
}

Status Composing::finish() {
    if (Status ended = end_run(); !ended) {
        return ended;
    }
    fresh_hash_ = fresh_sum_.finish();
    auto content = whole_ ? whole_->finish() : fresh_.finish();
    if (!content) {
        return written(content.error());
    }
    (whole_ ? whole_content_ : fresh_content_) = *std::move(content);
    return name();
}

Status Composing::name() {
    if (!by_chunks_) {
        name_ = {sum_.finish(), size_, {}};
        return {};
    }
    if (whole_ || size_ < chunked_bytes_least) {
        const auto all = whole_ ? nullptr : joined(pieces_, basis_, *fresh_content_);
        auto named = identify(whole_ ? *whole_content_ : *all, true);
        name_ = named ? *std::move(named) : Digest{};
        return named ? Status{} : Status(named.error());
    }
    std::vector<Piece> pieces;
    pieces.reserve(pieces_.size());
    for (const Extent& one : pieces_) {
        pieces.push_back({one.source == of_basis, one.from, one.length});
    }
    const auto all = joined(pieces_, basis_, *fresh_content_);
    auto chunks = chunks_of_edit(pieces, of_basis_.get(), *all, size_);
    if (!chunks) {
        return chunks.error();
    }
    std::string named = chunks->name();
    name_ = {std::move(named), size_, std::make_shared<ChunkList>(*std::move(chunks))};
    return {};
}

std::unique_ptr<ReadFile> Composing::content() {
    return whole_ ? std::move(whole_content_)
                  : joined(std::exchange(pieces_, {}), basis_, *fresh_content_);
}

} // namespace hasp::sync
