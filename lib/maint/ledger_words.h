// What neighbours say to each other about usage, in bytes. lib/billing/PROTOCOL.md describes them.
#pragma once

#include "base/result.h"
#include "billing/ledger_store.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hasp::maint {

// (envelope, events) of several batches: each a length in 4 bytes and the bytes.
void pack_batch(std::string& out, std::string_view envelope, std::string_view events);
// Code::refused when it is cut short.
Result<std::vector<std::pair<std::string, std::string>>> unpack_batches(std::string_view body);

// The body of an envelope of type "usage-ack": this much of the chain is durable here.
struct UsageAck {
    billing::ChainKey chain;
    billing::Position until;
    std::string hash; // of the last batch, 32 bytes
    friend bool operator==(const UsageAck&, const UsageAck&) = default;
};
std::string encode_ack(const UsageAck& ack);
Result<UsageAck> decode_ack(std::string_view bytes);

} // namespace hasp::maint
