// Answers, hostile and valid. `to` says what was asked: ' ' a GET, 'h' a HEAD, 'u' an upgrade.
#pragma once

#include "net/head.h"
#include "request_cases.h"

namespace hasp::net {

struct AnswerCase {
    MessageCase message;
    char to;
    Framing framing; // of those that are valid
};

inline constexpr AnswerCase answer_cases[] = {
    {{"9112 §4", "a plain answer", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"sv, 0}, ' ', Framing::length},
    {{"9112 §4", "an empty phrase behind its space", "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n"sv, 0}, ' ', Framing::length},
    {{"9112 §4", "a phrase with obs-text", "HTTP/1.1 404 pas trouv\xe9\r\nContent-Length: 0\r\n\r\n"sv, 0}, ' ', Framing::none},
    {{"9112 §4", "no space behind the status", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §4", "two spaces before the status", "HTTP/1.1  200 OK\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §4", "a tab before the status", "HTTP/1.1\t200 OK\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §4", "a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §4", "a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §15", "a status below 100", "HTTP/1.1 099 OK\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §15", "a status above 599", "HTTP/1.1 600 OK\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §4", "a signed status", "HTTP/1.1 +20 OK\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §2.3", "HTTP/2", "HTTP/2.0 200 OK\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §2.3", "HTTP/0.9", "hello, world\n"sv, 502}, ' ', {}},
    {{"9112 §2.3", "a protocol in lower case", "http/1.1 200 OK\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §2.2", "an empty line before", "\r\nHTTP/1.1 200 OK\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §4", "a control character in the phrase", "HTTP/1.1 200 O\x01K\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §2.2", "a bare LF behind the status line", "HTTP/1.1 200 OK\nX: y\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §2.2", "a bare CR in the phrase", "HTTP/1.1 200 O\rK\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §5.2", "a folded line", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §5.1", "a space before the colon", "HTTP/1.1 200 OK\r\nX : a\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §5.5", "NUL in a value", "HTTP/1.1 200 OK\r\nX: \0\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §5.5", "a bare LF in a value", "HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §5.1", "a bad name", "HTTP/1.1 200 OK\r\nX@: a\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §6.3", "neither length nor chunked", "HTTP/1.1 200 OK\r\n\r\n"sv, 0}, ' ', Framing::until_close},
    {{"9112 §6.3", "HTTP/1.0 without a length", "HTTP/1.0 200 OK\r\n\r\n"sv, 0}, ' ', Framing::until_close},
    {{"9112 §6.3", "HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n"sv, 0}, ' ', Framing::length},
    {{"9112 §6.1", "chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"sv, 0}, ' ', Framing::chunked},
    {{"9112 §6.1", "chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §6.3", "chunked and a length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §6.1", "gzip before chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §6.1", "chunked twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §8.6", "two equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §8.6", "two different lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §8.6", "a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §8.6", "a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §8.6", "a length that overflows", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §9.3.2", "the answer to HEAD has no body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"sv, 0}, 'h', Framing::none},
    {{"9110 §9.3.2", "chunked announced to HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"sv, 0}, 'h', Framing::none},
    {{"9110 §15.4.5", "304 has no body", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"sv, 0}, ' ', Framing::none},
    {{"9110 §15.3.5", "204 has no body", "HTTP/1.1 204 No Content\r\n\r\n"sv, 0}, ' ', Framing::none},
    {{"9110 §8.6", "204 with a length of 0", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"sv, 0}, ' ', Framing::none},
    {{"9110 §8.6", "204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §6.1", "204 with chunked", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §15.2", "100 Continue", "HTTP/1.1 100 Continue\r\n\r\n"sv, 0}, ' ', Framing::none},
    {{"8297 §2", "103 Early Hints", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"sv, 0}, ' ', Framing::none},
    {{"9110 §8.6", "100 with a length", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §6.1", "100 with chunked", "HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §15.2", "100 in HTTP/1.0", "HTTP/1.0 100 Continue\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §7.8", "101 that was asked for", "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"sv, 0}, 'u', Framing::none},
    {{"9110 §7.8", "101 that nobody asked for", "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"sv, 502}, ' ', {}},
    {{"9110 §7.8", "101 without Upgrade", "HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n"sv, 502}, 'u', {}},
    {{"9110 §7.8", "101 without the connection option", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n"sv, 502}, 'u', {}},
    {{"9110 §7.6.1", "a bad Connection", "HTTP/1.1 200 OK\r\nConnection: a b\r\n\r\n"sv, 502}, ' ', {}},
    {{"9112 §4", "half a status line", "HTTP/1.1 20"sv, -1}, ' ', {}},
    {{"9112 §4", "no end of the head", "HTTP/1.1 200 OK\r\nX: y\r\n"sv, -1}, ' ', {}},
};

} // namespace hasp::net
