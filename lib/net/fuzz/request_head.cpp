// Whatever comes: no read beyond the bytes, the fate does not depend on how they arrive, and what
// is taken is taken again with the same meaning after it was written anew.
#include "net/head.h"
#include "net/write_head.h"

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

using namespace hasp::net;

namespace {
void must(bool holds) {
    if (!holds) {
        std::abort();
    }
}
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    const HeadLimits limits;
    RequestHead head;
    const ParseResult whole = parse_request_head(bytes, head, limits);
    const ParseResult half = parse_request_head(bytes.substr(0, size / 2), head, limits);
    if (half.done()) {
        must(whole.done() && half.consumed == whole.consumed);
    } else if (half.bad()) {
        must(whole.bad());
    }
    if (!whole.done()) {
        return 0;
    }
    must(whole.consumed <= size && whole.consumed >= 16);
    must(parse_request_head(bytes, head, limits).done());
    std::vector<char> room(4 * size + 256);
    HeadWriter out{room};
    out.request_line(head.method_text, head.path, head.has_query, head.query);
    for (const Header& field : head.headers) {
        must(is_token(field.name) && is_field_value(field.value));
        must(field.id == name_id(field.name));
        must(!field.as_written ||
             (field.name.data() + field.name.size() + 2 == field.value.data() &&
              field.value.data()[-2] == ':' && field.value.data()[-1] == ' ' &&
              field.value.data()[field.value.size()] == '\r' &&
              field.value.data()[field.value.size() + 1] == '\n'));
        if (field.id != Name::host) {
            out.field(field.name, field.value);
        }
    }
    if (!head.host.empty()) {
        out.field("Host", head.authority);
    }
    out.end();
    must(!out.failed());
    RequestHead again;
    const HeadLimits wide{65'536, 131'072, 1'048'576, Headers::capacity};
    const ParseResult second = parse_request_head(out.text(), again, wide);
    // A 1.0 request without Host is no 1.1 request: nothing else may be refused now.
    must(second.done() || head.host.empty() || head.version_minor == 0);
    if (second.done()) {
        must(again.framing == head.framing && again.content_length == head.content_length);
        must(again.host == head.host && again.method == head.method);
        must(again.has_query == head.has_query);
    }
    return 0;
}
