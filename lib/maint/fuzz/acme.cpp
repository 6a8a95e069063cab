// The ACME machine on what a server may answer: each line is one, with its status in front.
#include "acme_order.h"
#include "base/text.h"

#include <cstdint>

using namespace hasp;
using namespace hasp::maint;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static SeededRandom random(1);
    static const trust::TlsKey key = trust::TlsKey::generate(random);
    AcmeAccount account{key, "https://a/dir", {}, {}, {}, {}, {}, {}, {}};
    AcmeOrder order(account, {"a.lan"}, "request", "", 1);
    for (const std::string_view line :
         split(std::string_view(reinterpret_cast<const char*>(data), size), '\n')) {
        AcmeOrder::Step step = order.next();
        for (int i = 0;
             step.kind == AcmeOrder::Step::Kind::wait || step.kind == AcmeOrder::Step::Kind::hook;
             ++i) {
            if (step.kind == AcmeOrder::Step::Kind::hook) {
                if (step.words.at(1) != "_acme-challenge.a.lan" || i > 1000) {
                    __builtin_trap();
                }
                order.hook_done({});
            }
            step = order.next();
        }
        if (step.kind != AcmeOrder::Step::Kind::http) {
            return 0;
        }
        const auto status = parse_u64(line.substr(0, 3));
        order.http_done(OutsideAnswer{static_cast<int>(status.value_or(200)),
                                      {{"replay-nonce", "n"},
                                       {"location", "https://a/l"},
                                       {"retry-after", std::string(line.substr(0, 20))}},
                                      std::string(line.size() > 4 ? line.substr(4) : "")},
                        1'800'000'000'000'000);
    }
    return 0;
}
