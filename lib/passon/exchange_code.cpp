// Answers that are compressed on their way (RFC 9110 §8.4, §12.5.3; doc/decisions/0018). Only the
// tier that serves the app does it; those between pass on what they get.
#include "exchange.h"

#include "base/text.h"
#include "core.h"
#include "net/fields.h"
#include "net/write_head.h"
#include "request_fields.h"
#include "static_files.h"

#include <algorithm>
#include <array>
#include <unistd.h>
#include <utility>

namespace hasp::passon {
namespace {

constexpr std::size_t file_bytes = 32 * 1024; // read of a file at once
constexpr std::size_t coded_bytes = 16 * 1024;
constexpr int file_rounds_max = 12;

// Of the bytes as they leave the app (RFC 9530, RFC 3230): coded, they would be wrong.
bool tells_a_digest(const net::Headers& headers) {
    return std::any_of(headers.begin(), headers.end(), [](const net::Header& field) {
        return field.id == net::Name::other &&
               (iequals(field.name, "content-digest") || iequals(field.name, "repr-digest") ||
                iequals(field.name, "digest") || iequals(field.name, "content-md5"));
    });
}

} // namespace

// Whether an answer like this is compressed for those who take it.
bool Exchange::may_be_coded(const net::AnswerHead& answer) const {
    using net::Name;
    const net::Headers& fields = answer.headers;
    if (core_.settings.compress.empty() || !app_.compress() ||
        (answer.has_length && answer.content_length < core_.settings.compress_bytes_min) ||
        !net::is_compressible(fields.value(Name::content_type))) {
        return false;
    }
    const bool has_body = answer.framing != net::Framing::none || head.method == net::Method::head;
    return has_body && answer.status >= 200 && answer.status != 204 && answer.status != 205 &&
           answer.status != 206 && !fields.has(Name::content_encoding) &&
           !fields.has(Name::content_range) &&
           !net::list_has(fields, Name::cache_control, "no-transform") && !tells_a_digest(fields);
}

// Another site made the browser ask, under its user's name: whoever did may count bytes of the
// answer, and learn a secret from how they change with what he asks for (BREACH).
bool Exchange::is_led_here() const {
    const std::string_view from = head.headers.value(net::Name::sec_fetch_site);
    return (from == "cross-site" || from == "same-site") &&
           (who_ != nullptr || head.headers.has(net::Name::cookie) ||
            head.headers.has(net::Name::authorization));
}

// Of an answer that may be coded. HTTP/1.0 has no chunks to put one into whose length is not known.
net::Coding Exchange::coding_taken() const {
    if (head.version_minor == 0 || core_.coders >= core_.settings.coders_max) {
        return net::Coding::identity;
    }
    return net::choose_coding(head.headers, core_.settings.compress);
}

void Exchange::choose_coding(const net::AnswerHead& answer) {
    coding_ = net::Coding::identity;
    varies_ = marked_ = false;
    if (answer.status == 304) {
        // Its Vary would take the place of the one that was sent with the answer.
        marked_ = shows_coded(answer.headers.value(net::Name::etag));
        varies_ = marked_ || answer.headers.has(net::Name::vary);
        return;
    }
    varies_ = may_be_coded(answer);
    if (varies_ && !is_led_here()) {
        coding_ = coding_taken();
    }
}

// Whoever asked under this tag of the app has what was coded of it.
bool Exchange::shows_coded(std::string_view etag) const {
    const std::string_view asked = cached_.validating
                                       ? std::string_view(cached_.etag)
                                       : head.headers.value(net::Name::if_none_match);
    if (etag.empty() || !net::has_coded_etag(asked)) {
        return false;
    }
    core_.text.clear();
    net::append_coded_etag(core_.text, etag);
    return net::etag_listed(asked, core_.text, false);
}

// Null: the answer goes out as it is.
std::unique_ptr<net::Coder> Exchange::take_coder(std::uint64_t length) {
    std::unique_ptr<net::Coder> coder = net::Coder::make(coding_, length);
    if (coder == nullptr) {
        coding_ = net::Coding::identity;
        return nullptr;
    }
    core_.coders += std::exchange(holds_coder_, true) ? 0 : 1;
    return coder;
}

// Precondition: varies_. `answer` tells what of it is there already.
void Exchange::write_coding_fields(net::HeadWriter& out, const net::Headers& answer) const {
    if (!net::list_has(answer, net::Name::vary, "accept-encoding") &&
        !net::list_has(answer, net::Name::vary, "*")) {
        out.trusted("Vary", "Accept-Encoding");
    }
    if (coding_ != net::Coding::identity) {
        out.trusted("Content-Encoding", net::coding_name(coding_));
    }
}

// As send_file(); what the coder did not take is read again.
void Exchange::send_coded_file() {
    Wire& to = down_->wire;
    std::array<char, coded_bytes> coded; // not filled: the coder writes before anybody reads
    if (to.blocked() && !head_text_.empty()) {
        to.write(head_text_);
        head_text_ = {};
    }
    for (int round = 0;; ++round) {
        if (to.blocked() && !to.flush()) {
            down_->close();
            return;
        }
        if (to.blocked()) {
            due(Due::client_out);
            return;
        }
        if (file_->coder == nullptr) {
            if (!head_text_.empty() && !to.write(std::exchange(head_text_, {}))) {
                down_->close();
                return;
            }
            if (!to.blocked()) {
                break;
            }
            continue;
        }
        if (round >= file_rounds_max && head_text_.empty()) {
            core_.reactor().post(again_);
            return;
        }
        core_.file_chunk.resize(file_bytes);
        const auto wanted = static_cast<std::size_t>(
            std::min<std::uint64_t>(file_->end - file_->offset, file_bytes));
        const ssize_t got = wanted == 0 ? 0
                                        : ::pread(file_->fd.get(), core_.file_chunk.data(), wanted,
                                                  static_cast<off_t>(file_->offset));
        if (got < 0 || (got == 0 && wanted > 0)) {
            cut("the file could not be read to its end");
            return;
        }
        const auto size = static_cast<std::size_t>(got);
        const bool last = file_->offset + size == file_->end;
        const net::Coder::Step step =
            file_->coder->step(std::string_view(core_.file_chunk).substr(0, size), coded,
                               last ? net::Coder::Until::end : net::Coder::Until::full);
        if (step.failed) {
            cut("the file could not be compressed");
            return;
        }
        file_->offset += step.consumed;
        own_bytes_ += step.produced;
        const bool finished = last && step.complete;
        std::array<iovec, 5> pieces;
        std::size_t count = 0;
        if (step.produced == 0 && !finished) {
            continue; // the head waits for company
        }
        pieces[count++] = piece(std::exchange(head_text_, {}));
        const iovec payload = piece({coded.data(), step.produced});
        count += file_->framing.frame(std::span(&payload, step.produced == 0 ? 0 : 1),
                                      std::span(pieces).subspan(count));
        if (finished) {
            pieces[count++] = piece(file_->framing.finish());
            file_->coder.reset();
        }
        if (!to.write(std::span(pieces.data(), count))) {
            down_->close();
            return;
        }
    }
    end(keep_);
}

} // namespace hasp::passon
