#include "sync/batch.h"

#include "numbers.h"
#include "sync/attributes.h"
#include "sync/chunks.h"

#include <algorithm>
#include <array>

namespace hasp::sync {

namespace {

constexpr std::size_t stream_bytes = std::size_t{64} * 1024;
constexpr std::uint32_t mode_max = 07777;

Error damaged(const std::string& what) {
    return fail(Code::refused, "a batch of files is damaged: " + what);
}

} // namespace

BatchReader::BatchReader(Pull in) : in_(std::move(in)) {}

Status BatchReader::exactly(std::span<char> into) {
    while (!into.empty()) {
        if (used_ == buffer_.size()) {
            buffer_.resize(stream_bytes);
            used_ = 0;
            auto got = in_.read(buffer_);
            if (!got) {
                buffer_.clear();
                return got.error();
            }
            buffer_.resize(*got);
            if (*got == 0) {
                return damaged("it ends in the middle of a record");
            }
        }
        const std::size_t n = std::min(into.size(), buffer_.size() - used_);
        std::copy_n(buffer_.data() + used_, n, into.data());
        used_ += n;
        into = into.subspan(n);
    }
    return {};
}

Result<std::uint64_t> BatchReader::number() {
    NumberReader reader;
    for (;;) {
        std::array<char, 1> byte{};
        if (Status read = exactly(byte); !read) {
            return read.error();
        }
        switch (reader.add(byte[0])) {
        case NumberReader::State::more:
            break;
        case NumberReader::State::done:
            return reader.value();
        case NumberReader::State::bad:
            return damaged("a number is too large, or too long");
        }
    }
}

Result<std::uint64_t> BatchReader::number_below(std::uint64_t limit, const char* what) {
    auto value = number();
    if (value && *value > limit) {
        return damaged(std::string(what) + " is beyond its limit");
    }
    return value;
}

Result<std::string> BatchReader::text(std::size_t limit) {
    auto size = number_below(limit, "the length of a text");
    if (!size) {
        return size.error();
    }
    std::string out(static_cast<std::size_t>(*size), '\0');
    if (Status read = exactly(out); !read) {
        return read.error();
    }
    return out;
}

bool valid_virus_name(std::string_view name) {
    return !name.empty() && name.size() <= virus_name_bytes_max &&
           std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

Result<BatchHead> BatchReader::head() {
    std::array<char, 5> start{};
    if (Status read = exactly(start); !read) {
        return read.error();
    }
    BatchHead out;
    out.direction = direction_ = static_cast<Direction>(start[4]);
    const std::string_view magic(start.data(), 4);
    const unsigned format = static_cast<unsigned char>(magic[3]) - static_cast<unsigned>('0');
    format_ = out.format = format;
    if (!magic.starts_with("HSF") || format < batch_format_first || format > batch_format_newest ||
        (out.direction != Direction::up && out.direction != Direction::down)) {
        return damaged("it does not begin as one");
    }
    auto epoch = number();
    auto counter = epoch ? number() : epoch;
    if (!counter) {
        return counter.error();
    }
    out.epoch = *epoch;
    out.number = *counter;
    if (out.direction == Direction::down && format_ >= batch_format_parts) {
        auto next = number();
        if (!next) {
            return next.error();
        }
        out.next.number = *next;
        if (*next != 0) {
            auto place = text(place_bytes_max);
            if (!place) {
                return place.error();
            }
            out.next.place = *std::move(place);
        }
    }
    return out;
}

Status BatchReader::attributes(Entry& entry) {
    if (format_ < batch_format_attributes) {
        return {};
    }
    auto bytes = text(attributes_bytes_max);
    if (!bytes) {
        return bytes.error();
    }
    attributes_bytes_ += bytes->size();
    if (attributes_bytes_ > batch_attributes_bytes_max) {
        return damaged("too many attributes");
    }
    if (auto read = read_attributes(*bytes); !read) {
        return damaged(read.error().message);
    }
    entry.attributes = *std::move(bytes);
    return {};
}

Status BatchReader::entry(Record& record) {
    auto path = text(path_bytes_max);
    auto revision = path ? number() : Result<std::uint64_t>(path.error());
    std::array<char, 1> kind{};
    if (!revision) {
        return revision.error();
    }
    if (!valid_path(*path)) {
        return damaged("a path that is none");
    }
    if (Status read = exactly(kind); !read) {
        return read;
    }
    record.path = *std::move(path);
    record.entry = {};
    record.entry.revision = *revision;
    const bool chunked = kind[0] == kind_file_by_chunks && format_ >= batch_format_chunked;
    record.entry.kind = chunked ? FileKind::file : static_cast<FileKind>(kind[0]);
    auto mode = number_below(mode_max, "a mode");
    auto mtime = mode ? number() : mode;
    auto size = mtime ? number_below(file_bytes_max, "the size of a file") : mtime;
    if (!size) {
        return size.error();
    }
    record.entry.mode = static_cast<std::uint32_t>(*mode);
    record.entry.mtime_us = unzigzag(*mtime);
    record.entry.size = *size;
    switch (record.entry.kind) {
    case FileKind::file:
        if (chunked && *size < chunked_bytes_least) {
            return damaged("a small file that is named by its chunks");
        }
        record.entry.hash.assign(chunked ? chunked_name_bytes : hash_bytes, content_name_mark);
        if (Status read = exactly(std::span(record.entry.hash).last(hash_bytes)); !read) {
            return read;
        }
        return attributes(record.entry);
    case FileKind::folder:
    case FileKind::symlink:
        if (*size != 0 || *mtime != 0 || (record.entry.kind == FileKind::symlink && *mode != 0)) {
            return damaged("a folder or link with a size or a time");
        }
        if (record.entry.kind == FileKind::symlink) {
            auto target = text(link_bytes_max);
            if (!target) {
                return target.error();
            }
            if (target->empty() || target->find('\0') != std::string::npos) {
                return damaged("a symbolic link without a target");
            }
            record.entry.target = *std::move(target);
            return {};
        }
        return attributes(record.entry);
    default:
        return damaged("an entry of a kind that it cannot be");
    }
}

Status BatchReader::basis(Record& record) {
    if (!is_difference(record.codec)) {
        return {};
    }
    const bool chunks = format_ >= batch_format_chunked;
    if (record.codec == Codec::delta && !chunks) {
        record.basis.resize(hash_bytes);
        return exactly(record.basis);
    }
    auto basis = text(chunks ? chunked_name_bytes : hash_bytes);
    if (!basis) {
        return basis.error();
    }
    const bool none = basis->empty() && record.codec != Codec::delta;
    if (!none && !valid_content_name(*basis)) {
        return damaged("a hash that is none");
    }
    record.basis = *std::move(basis);
    return {};
}

// `run`: of many that are alike; the first is given now, and the others before anything else is
// read.
Status BatchReader::verdict(Record& record, bool run) {
    record.type = Record::Type::verdict;
    auto index = number_below(batch_records_max, "the index of a verdict");
    auto count =
        index && run ? number_below(batch_records_max - *index, "the number of verdicts") : index;
    std::array<char, 1> verdict{};
    Status read = count ? exactly(verdict) : Status(count.error());
    if (!read) {
        return read;
    }
    auto revision = number();
    auto copy = !revision ? Result<std::string>(revision.error())
                : run     ? Result<std::string>(std::string())
                          : text(path_bytes_max);
    if (!copy) {
        return copy.error();
    }
    record.index = *index;
    record.verdict = static_cast<Verdict>(verdict[0]);
    record.revision = *revision;
    record.copy = *std::move(copy);
    const Verdict last = format_ < batch_format_scanned ? Verdict::send_whole
                         : format_ < batch_format_moved ? Verdict::waits
                                                        : Verdict::say_each;
    const bool copied = record.verdict == Verdict::copied;
    const bool infected = record.verdict == Verdict::infected;
    if (record.verdict < Verdict::taken || record.verdict > last ||
        record.copy.empty() == (copied || infected) || (copied && !valid_path(record.copy)) ||
        (infected && !valid_virus_name(record.copy)) || (run && *count < 2)) {
        return damaged("a verdict that there is not");
    }
    if (run) {
        run_ = record;
        run_left_ = *count - 1;
    }
    return {};
}

Status BatchReader::moved(Record& record) {
    auto from = text(path_bytes_max);
    auto to = from ? text(path_bytes_max) : from;
    auto count = to ? number_below(moved_entries_max, "the number of what was moved")
                    : Result<std::uint64_t>(to.error());
    if (!count) {
        return count.error();
    }
    record.sum.resize(hash_bytes);
    if (Status read = exactly(record.sum); !read) {
        return read;
    }
    if (!valid_path(*from) || !valid_path(*to) || *count == 0 ||
        (*from + "/").starts_with(*to + "/") || (*to + "/").starts_with(*from + "/")) {
        return damaged("a folder that was moved where it cannot be");
    }
    record.path = *std::move(from);
    record.to = *std::move(to);
    record.count = *count;
    return {};
}

Result<bool> BatchReader::next(Record& record) {
    if (error_) {
        return *error_;
    }
    if (run_left_ > 0) {
        --run_left_;
        ++run_.index;
        record = run_;
        return true;
    }
    auto more = next_record(record);
    if (!more) {
        error_ = more.error();
    }
    return more;
}

Result<bool> BatchReader::next_record(Record& record) {
    if (Status skipped = skip_content(); !skipped) {
        return skipped.error();
    }
    std::array<char, 1> tag{};
    if (Status read = exactly(tag); !read) {
        return read.error();
    }
    if (tag[0] == 0) {
        auto count = number();
        if (!count) {
            return count.error();
        }
        // The frame of zstd ends here too, and its checksum agrees.
        std::array<char, 1> more{};
        if (*count != records_ || used_ != buffer_.size()) {
            return damaged("its end does not agree with what came before");
        }
        auto end = in_.read(more);
        if (!end || *end != 0) {
            return end ? damaged("there is more behind its end") : end.error();
        }
        return false;
    }
    if (++records_ > batch_records_max) {
        return damaged("too many records");
    }
    record = {};
    record.type = static_cast<Record::Type>(tag[0]);
    if (record.type == Record::Type::put) {
        if (Status read = entry(record); !read) {
            return read.error();
        }
        std::array<char, 1> codec{};
        if (Status read = exactly(codec); !read) {
            return read.error();
        }
        record.codec = static_cast<Codec>(codec[0]);
        const Codec last = format_ == batch_format_first    ? Codec::whole
                           : format_ < batch_format_members ? Codec::compared
                           : format_ < batch_format_later || direction_ == Direction::up
                               ? Codec::members
                               : Codec::later;
        if (record.codec > last ||
            (record.codec != Codec::known && record.entry.kind != FileKind::file)) {
            return damaged("content in a way that there is not");
        }
        if (Status read = basis(record); !read) {
            return read.error();
        }
        in_content_ = record.codec != Codec::known && record.codec != Codec::later;
        frame_left_ = 0;
        // A difference without a match is the file and a few bytes for each 64 KB of it.
        content_left_ =
            record.codec == Codec::whole ? record.entry.size : record.entry.size * 2 + 1024;
        return true;
    }
    if (record.type == Record::Type::remove) {
        auto path = text(path_bytes_max);
        auto revision = path ? number() : Result<std::uint64_t>(path.error());
        if (!revision) {
            return revision.error();
        }
        if (!valid_path(*path)) {
            return damaged("a path that is none");
        }
        record.path = *std::move(path);
        record.revision = *revision;
        return true;
    }
    const bool run = record.type == Record::Type::verdicts && format_ >= batch_format_moved &&
                     direction_ == Direction::down;
    if (record.type == Record::Type::verdict || run) {
        Status read = verdict(record, run);
        return read ? Result<bool>(true) : read.error();
    }
    if (record.type == Record::Type::moved && format_ >= batch_format_moved &&
        direction_ == Direction::up) {
        Status read = moved(record);
        return read ? Result<bool>(true) : read.error();
    }
    if (record.type == Record::Type::attributes && format_ >= batch_format_attributes) {
        auto path = text(path_bytes_max);
        std::array<char, 1> kind{};
        Status read = path ? exactly(kind) : Status(path.error());
        if (!read) {
            return read.error();
        }
        record.entry.kind = static_cast<FileKind>(kind[0]);
        if (!valid_path(*path) ||
            (record.entry.kind != FileKind::file && record.entry.kind != FileKind::folder)) {
            return damaged("attributes of what has none");
        }
        record.path = *std::move(path);
        read = attributes(record.entry);
        return read ? Result<bool>(true) : read.error();
    }
    return damaged("a record of an unknown kind");
}

Result<std::size_t> BatchReader::content(std::span<char> into) {
    if (error_) {
        return *error_;
    }
    auto got = next_content(into);
    if (!got) {
        error_ = got.error();
    }
    return got;
}

Result<std::size_t> BatchReader::next_content(std::span<char> into) {
    if (!in_content_ || into.empty()) {
        return std::size_t{0};
    }
    if (frame_left_ == 0) {
        auto size = number_below(batch_frame_bytes_max, "a piece of content");
        if (!size) {
            return size.error();
        }
        if (*size > content_left_) {
            return damaged("more content than was announced");
        }
        content_left_ -= *size;
        frame_left_ = *size;
        if (*size == 0) {
            in_content_ = false;
            return std::size_t{0};
        }
    }
    const std::size_t n =
        static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), frame_left_));
    if (Status read = exactly(into.first(n)); !read) {
        return read.error();
    }
    frame_left_ -= n;
    return n;
}

Status BatchReader::skip_content() {
    std::array<char, 4096> waste{};
    while (in_content_) {
        if (auto got = content(waste); !got) {
            return got.error();
        }
    }
    return {};
}

} // namespace hasp::sync
