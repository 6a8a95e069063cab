#include "net/websocket.h"

#include "base/text.h"
#include "chars.h"
#include "net/fields.h"

#include <algorithm>
#include <array>
#include <openssl/evp.h>

namespace hasp::net {
namespace {

// RFC 6455 §1.3.
constexpr std::string_view handshake_guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

// Sixteen bytes in base64 (RFC 6455 §4.1).
bool is_websocket_key(std::string_view text) {
    constexpr std::size_t digits = 22;
    return text.size() == digits + 2 && text.ends_with("==") &&
           std::all_of(text.begin(), text.begin() + digits, [](char c) {
               const char l = lower(c);
               return is_digit(c) || (l >= 'a' && l <= 'z') || c == '+' || c == '/';
           });
}

} // namespace

bool asks_websocket(const RequestHead& head) {
    return head.upgrade && list_has(head.headers, Name::upgrade, "websocket");
}

const char* websocket_fault(const RequestHead& head) {
    if (head.method != Method::get) {
        return "a WebSocket is asked for with another method than GET";
    }
    if (head.framing == Framing::chunked ||
        (head.framing == Framing::length && head.content_length != 0)) {
        return "a WebSocket is asked for with a body";
    }
    if (!is_websocket_key(head.headers.value(Name::sec_websocket_key))) {
        return "a WebSocket is asked for without a key of 16 bytes";
    }
    return nullptr;
}

bool websocket_version_known(const RequestHead& head) {
    return head.headers.value(Name::sec_websocket_version) == "13";
}

std::string websocket_accept(std::string_view key) {
    const std::string text = std::string(key).append(handshake_guid);
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1) {
        return {};
    }
    return to_base64({reinterpret_cast<const char*>(digest.data()), size});
}

bool websocket_accepted(const AnswerHead& answer, std::string_view key) {
    const Header* upgrade = answer.headers.find(Name::upgrade);
    const std::string wanted = websocket_accept(key);
    return upgrade != nullptr && upgrade->next_same == 0 &&
           same_text(upgrade->value, "websocket") && !wanted.empty() &&
           answer.headers.value(Name::sec_websocket_accept) == wanted;
}

} // namespace hasp::net
