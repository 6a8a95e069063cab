// Events that decode are written again as they were; a header likewise.
#include "billing/batch.h"

#include <cstdlib>
#include <cstring>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::billing;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    if (const auto header = decode_header(bytes); header.ok() && encode_header(*header) != bytes) {
        std::abort();
    }
    std::vector<UsageRecord> records;
    const hasp::Status decoded = decode_events(bytes, [&](std::size_t, const Event& e) {
        UsageRecord r;
        r.kind = e.kind;
        r.served = e.served;
        r.flags = e.flags;
        r.status = e.status;
        r.time_us = e.time_us;
        r.duration_us = e.duration_us;
        r.bytes_in = e.bytes_in;
        r.bytes_out = e.bytes_out;
        set_name(r.app, e.app);
        set_name(r.user, e.user);
        set_name(r.peer, e.peer);
        std::memcpy(r.sid.data(), e.sid.data(), r.sid.size());
        std::memcpy(r.rid.data(), e.rid.data(), r.rid.size());
        records.push_back(r);
    });
    if (decoded.ok() && encode_events(records).value() != bytes) {
        std::abort();
    }
    return 0;
}
