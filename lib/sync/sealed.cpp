#include "sealed.h"

#include "base/text.h"
#include "trust/hash.h"
#include "zstd_context.h"

#include <algorithm>
#include <array>
#include <zstd.h>

namespace hasp::sync {

namespace {

static_assert(sealed_frame_bytes == stretch_bytes);
constexpr std::string_view magic = "HSC1";
constexpr std::size_t salt_bytes = 32;
static_assert(magic.size() + salt_bytes == sealed_head_bytes);
constexpr int level = 3;
constexpr char as_it_is = 0;
constexpr char zstd = 1;
constexpr std::size_t table_entry_bytes = 8;
// Smaller than this there is nothing to gain.
constexpr std::size_t compress_least_bytes = 64;

std::string nonce_of(std::uint64_t position, bool last) {
    std::string out(trust::aead_nonce_bytes, '\0');
    for (std::size_t i = 0; i < 8; ++i) {
        out[i] = static_cast<char>(position >> (56 - 8 * i) & 0xff);
    }
    out.back() = last ? 1 : 0;
    return out;
}

std::string content_key(std::string_view user_key, std::string_view salt) {
    return trust::hmac_sha256(user_key, std::string("content").append(salt));
}

std::string entry_of(std::uint64_t end) {
    std::string out(table_entry_bytes, '\0');
    for (std::size_t i = 0; i < table_entry_bytes; ++i) {
        out[i] = static_cast<char>(end >> (8 * i) & 0xff);
    }
    return out;
}

std::uint64_t entry_in(std::string_view bytes) {
    std::uint64_t end = 0;
    for (std::size_t i = 0; i < table_entry_bytes; ++i) {
        end |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    }
    return end;
}

Error damaged_content(const std::string& hash) {
    return fail(Code::refused, "the stored content " + to_hex(hash) + " is damaged",
                "`hasp sync versions` shows what is kept of the file; else restore it from a "
                "backup");
}

class SealedFile final : public ReadFile {
  public:
    SealedFile(std::unique_ptr<ReadFile> file, SealedPlace place, std::string hash,
               std::size_t at_hand, std::uint64_t* unsealed)
        : file_(std::move(file)), place_(place), hash_(std::move(hash)), at_hand_max_(at_hand),
          unsealed_(unsealed), frames_(std::max<std::uint64_t>(
                                   1, (place.size + sealed_frame_bytes - 1) / sealed_frame_bytes)) {
    }
    ~SealedFile() override {
        for (Frame& one : at_hand_) {
            trust::wipe(one.plain);
        }
    }

    Status open(std::string_view user_key) {
        std::string head(sealed_head_bytes, '\0');
        if (Status got = exact(0, head); !got) {
            return got;
        }
        if (!head.starts_with(magic)) {
            return damaged_content(hash_);
        }
        std::string key = content_key(user_key, std::string_view(head).substr(magic.size()));
        aead_ = std::make_unique<trust::Aead>(key);
        trust::wipe(key);
        return {};
    }
    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
        std::size_t done = 0;
        // Of an empty content, its frame is what says that it is empty.
        while (done < into.size() && (offset < place_.size || place_.size == 0)) {
            const std::uint64_t wanted = offset / sealed_frame_bytes;
            auto there = frame(place_.size == 0 ? 0 : wanted);
            if (!there) {
                return there.error();
            }
            if (place_.size == 0) {
                return std::size_t{0};
            }
            const auto at = static_cast<std::size_t>(offset % sealed_frame_bytes);
            const std::string_view plain = **there;
            const std::size_t part = std::min(plain.size() - at, into.size() - done);
            std::copy_n(plain.data() + at, part, into.data() + done);
            done += part;
            offset += part;
        }
        return done;
    }
    Result<FileStat> stat() override {
        FileStat out;
        out.kind = FileKind::file;
        out.size = place_.size;
        return out;
    }

  private:
    // All of `into`, from `at` of what is sealed.
    Status exact(std::uint64_t at, std::string& into) {
        if (at > place_.bytes || into.size() > place_.bytes - at) {
            return damaged_content(hash_);
        }
        auto got = file_->read(place_.offset + at, into);
        if (!got) {
            // A disk that says no says nothing of the content.
            return got.error().code == Code::refused ? fail(Code::failed, got.error().message)
                                                     : got.error();
        }
        return *got == into.size() ? Status{} : Status{damaged_content(hash_)};
    }
    struct Range {
        std::uint64_t from = 0;
        std::uint64_t to = 0;
    };
    Result<Range> range_of(std::uint64_t position) {
        if (frames_ == 1) {
            return Range{sealed_head_bytes, place_.bytes};
        }
        if (frames_ > place_.bytes / table_entry_bytes) {
            return damaged_content(hash_);
        }
        const std::uint64_t table = place_.bytes - frames_ * table_entry_bytes;
        std::string entry(table_entry_bytes, '\0');
        Range out{sealed_head_bytes, 0};
        if (position > 0) {
            if (Status got = exact(table + (position - 1) * table_entry_bytes, entry); !got) {
                return got.error();
            }
            out.from = entry_in(entry);
        }
        if (Status got = exact(table + position * table_entry_bytes, entry); !got) {
            return got.error();
        }
        out.to = entry_in(entry);
        return out;
    }
    // Valid until the next call.
    Result<const std::string*> frame(std::uint64_t position) {
        auto here = std::find_if(at_hand_.begin(), at_hand_.end(),
                                 [position](const Frame& one) { return one.position == position; });
        if (here == at_hand_.end()) {
            if (at_hand_.size() < at_hand_max_) {
                at_hand_.emplace_back();
            }
            here = at_hand_.end() - 1;
            here->position = none;
            if (Status opened = open_frame(position, here->plain); !opened) {
                return opened.error();
            }
            here->position = position;
        }
        std::rotate(at_hand_.begin(), here, here + 1);
        return &at_hand_.front().plain;
    }
    Status open_frame(std::uint64_t position, std::string& plain) {
        if (unsealed_ != nullptr) {
            ++*unsealed_;
        }
        auto range = range_of(position);
        if (!range) {
            return range.error();
        }
        if (range->from > range->to || range->to > place_.bytes ||
            range->to - range->from > sealed_frame_bytes + sealed_frame_overhead) {
            return damaged_content(hash_);
        }
        sealed_.resize(static_cast<std::size_t>(range->to - range->from));
        if (Status got = exact(range->from, sealed_); !got) {
            return got;
        }
        const bool last = position + 1 == frames_;
        if (!aead_->open(nonce_of(position, last), hash_, sealed_, body_) || body_.empty()) {
            return damaged_content(hash_);
        }
        const auto size = static_cast<std::size_t>(
            last ? place_.size - position * sealed_frame_bytes : sealed_frame_bytes);
        const std::string_view body = std::string_view(body_).substr(1);
        if (body_[0] == as_it_is) {
            plain.assign(body);
        } else {
            plain.resize(size);
            if (zstd_ == nullptr) {
                zstd_ = decompression_context();
            }
            const std::size_t made =
                body_[0] == zstd
                    ? ZSTD_decompressDCtx(zstd_.get(), plain.data(), size, body.data(), body.size())
                    : size + 1;
            plain.resize(ZSTD_isError(made) != 0 || made > size ? 0 : made);
        }
        return plain.size() == size ? Status{} : Status{damaged_content(hash_)};
    }

    static constexpr std::uint64_t none = ~std::uint64_t{0};
    std::unique_ptr<ReadFile> file_;
    SealedPlace place_;
    std::string hash_;
    std::size_t at_hand_max_;
    std::uint64_t* unsealed_;
    std::uint64_t frames_;
    std::unique_ptr<trust::Aead> aead_;
    DecompressionContext zstd_;
    std::string sealed_;
    std::string body_;
    struct Frame {
        std::uint64_t position = none;
        std::string plain;
    };
    std::vector<Frame> at_hand_; // the last read first
};

} // namespace

Sealer::Sealer(std::string_view user_key, Random& random)
    : user_key_(user_key), random_(random), zstd_(ZSTD_createCCtx(), &ZSTD_freeCCtx) {
    ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_compressionLevel, level);
}
Sealer::~Sealer() {
    trust::wipe(user_key_);
    trust::wipe(waiting_);
}

Status Sealer::begin(std::string hash, Sink out) {
    hash_ = std::move(hash);
    out_ = std::move(out);
    waiting_.clear();
    table_.clear();
    position_ = 0;
    plain_bytes_ = 0;
    sealed_bytes_ = 0;
    helps_ = true;
    const std::string salt = random_.bytes(salt_bytes);
    std::string key = content_key(user_key_, salt);
    aead_ = std::make_unique<trust::Aead>(key);
    trust::wipe(key);
    return give(std::string(magic) + salt);
}

Status Sealer::give(std::string_view bytes) {
    sealed_bytes_ += bytes.size();
    return out_(bytes);
}

Status Sealer::write(std::string_view plain) {
    plain_bytes_ += plain.size();
    // The last frame says that it is: one goes out only when it is known that more follows.
    while (!plain.empty()) {
        if (waiting_.size() == sealed_frame_bytes) {
            if (Status sealed = frame(waiting_, false); !sealed) {
                return sealed;
            }
            waiting_.clear();
        }
        const std::size_t part = std::min(plain.size(), sealed_frame_bytes - waiting_.size());
        waiting_.append(plain.substr(0, part));
        plain.remove_prefix(part);
    }
    return {};
}

Status Sealer::finish() {
    if (Status sealed = frame(waiting_, true); !sealed) {
        return sealed;
    }
    return position_ > 1 ? give(table_) : Status{};
}

Status Sealer::frame(std::string_view plain, bool last) {
    body_.assign(1, as_it_is);
    const bool tried =
        plain.size() >= compress_least_bytes && (helps_ || position_ % sealed_sample_every == 0);
    if (tried) {
        // No larger than the content less a sixteenth: what does not save that is not worth it.
        body_.resize(1 + plain.size() - plain.size() / 16);
        const std::size_t made = ZSTD_compress2(zstd_.get(), body_.data() + 1, body_.size() - 1,
                                                plain.data(), plain.size());
        helps_ = ZSTD_isError(made) == 0;
        body_.resize(helps_ ? 1 + made : 1);
        body_[0] = helps_ ? zstd : as_it_is;
    }
    if (body_[0] == as_it_is) {
        body_.append(plain);
    }
    sealed_.clear();
    aead_->seal(nonce_of(position_++, last), hash_, body_, sealed_);
    if (Status given = give(sealed_); !given) {
        return given;
    }
    table_ += entry_of(sealed_bytes_);
    return {};
}

Result<std::unique_ptr<ReadFile>> open_sealed(std::unique_ptr<ReadFile> file, SealedPlace place,
                                              std::string_view user_key, std::string hash,
                                              std::size_t at_hand, std::uint64_t* unsealed) {
    if (place.size > file_bytes_max) {
        return damaged_content(hash);
    }
    auto out =
        std::make_unique<SealedFile>(std::move(file), place, std::move(hash), at_hand, unsealed);
    if (Status opened = out->open(user_key); !opened) {
        return opened.error();
    }
    return std::unique_ptr<ReadFile>(std::move(out));
}

} // namespace hasp::sync
