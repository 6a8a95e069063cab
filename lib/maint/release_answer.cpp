#include "release_answer.h"

#include "base/text.h"
#include "maint/release.h"
#include "text_patch.h"
#include "trust/hash.h"

namespace hasp::maint {

std::string base_text(std::string_view text) {
    auto release = decode_release(text);
    if (!release.ok()) {
        return "";
    }
    release->epoch = release->number = 0;
    return encode_release(*release);
}

Result<Message> encode_release_answer(const ReleaseAnswer& answer, const std::string& base_id,
                                      std::string_view base) {
    auto patch = make_patch(base, answer.text);
    if (!patch.ok()) {
        return patch.error();
    }
    Json head{{"base", base_id},
              {"text_bytes", patch->size()},
              {"signature_bytes", answer.signature.size()},
              {"publishers", to_base64url(answer.statement)}};
    if (answer.pack.empty() && !answer.pack_name.empty()) {
        head["pack"] = answer.pack_name;
        head["pack_bytes"] = answer.pack_bytes;
        head["pack_sha256"] = answer.pack_sha256;
    }
    return Message{std::move(head), *patch + answer.signature + answer.pack};
}

Message encode_plain_release_answer(const ReleaseAnswer& answer) {
    Json head{{"signature", to_base64url(answer.signature)},
              {"publishers", to_base64url(answer.statement)}};
    if (!answer.pack_name.empty()) {
        head["pack"] = answer.pack_name;
        head["pack_bytes"] = answer.pack_bytes;
        head["pack_sha256"] = answer.pack_sha256;
    }
    return {std::move(head), answer.text};
}

Result<ReleaseAnswer> decode_release_answer(const Message& message, const BaseOf& base_of) {
    const Json& head = message.head;
    ReleaseAnswer out;
    out.statement = from_base64url(text_of(head, "publishers")).value_or("");
    out.pack_name = text_of(head, "pack");
    out.pack_bytes = static_cast<std::uint64_t>(int_of(head, "pack_bytes"));
    out.pack_sha256 = text_of(head, "pack_sha256");
    if (!head.contains("base")) {
        out.text = message.body;
        out.signature = from_base64url(text_of(head, "signature")).value_or("");
        return out;
    }
    const std::string_view body = message.body;
    const auto text_bytes = static_cast<std::uint64_t>(int_of(head, "text_bytes"));
    const auto signature_bytes = static_cast<std::uint64_t>(int_of(head, "signature_bytes"));
    if (text_bytes > body.size() || signature_bytes > body.size() - text_bytes) {
        return fail(Code::refused, "the answer with the release is cut short");
    }
    const std::string base_id = text_of(head, "base");
    const std::string base = base_id.empty() ? "" : base_of(base_id);
    if (!base_id.empty() && base.empty()) {
        return fail(Code::refused,
                    "the text of the release is a difference to one that is not here");
    }
    auto text = apply_patch(base, body.substr(0, text_bytes), release_manifest_bytes_max);
    if (!text.ok()) {
        return text.error();
    }
    out.text = *std::move(text);
    out.signature = body.substr(text_bytes, signature_bytes);
    if (out.pack_name.empty()) {
        out.pack = body.substr(text_bytes + signature_bytes);
        out.pack_bytes = out.pack.size();
        out.pack_sha256 = to_hex(trust::sha256(out.pack));
    }
    return out;
}

} // namespace hasp::maint
