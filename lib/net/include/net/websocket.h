// What makes a WebSocket's opening handshake one (RFC 6455 §4). Pure.
#pragma once

#include "net/head.h"

#include <string>
#include <string_view>

namespace hasp::net {

// The request asks to become a WebSocket: Connection and Upgrade say so, in HTTP/1.1.
bool asks_websocket(const RequestHead& head);

// Why such a request is no handshake after all, a static sentence; null when it is one. A version
// other than 13 is no fault here: see websocket_version_known().
const char* websocket_fault(const RequestHead& head);
bool websocket_version_known(const RequestHead& head);

// Sec-WebSocket-Accept of the answer to a request with this key.
std::string websocket_accept(std::string_view key);

// 101 that leads to the protocol that was asked for, from somebody who has read the request.
bool websocket_accepted(const AnswerHead& answer, std::string_view key);

} // namespace hasp::net
