#include "parent_addresses.h"

#include "base/text.h"

#include <algorithm>
#include <utility>

namespace hasp::maint {

namespace {
constexpr const char* addresses_fact = "parent.addresses";

bool among(const std::vector<std::string>& list, const std::string& one) {
    return std::find(list.begin(), list.end(), one) != list.end();
}

std::string listed(const std::vector<std::string>& list) {
    std::string out;
    for (const std::string& one : list) {
        out += (out.empty() ? "" : ", ") + one;
    }
    return out;
}
// What was kept may be damaged.
std::vector<std::string> valid_ones(const Json& fact, const char* name) {
    std::vector<std::string> out = texts_of(fact, name);
    std::erase_if(out, [](const std::string& one) { return !trust::valid_address(one); });
    out.resize(std::min(out.size(), trust::invitation_addresses_max));
    return out;
}

void add(std::vector<std::string>& list, const std::vector<std::string>& more, std::size_t most) {
    for (const std::string& one : more) {
        if (list.size() < most && !among(list, one)) {
            list.push_back(one);
        }
    }
}
} // namespace

bool AddressBook::take(std::vector<std::string> now) {
    if (now == told) {
        return false;
    }
    // While something is left from before, none of `told` has answered: they go.
    std::vector<std::string> known = std::exchange(told, std::move(now));
    if (before.empty()) {
        before = std::move(known);
    }
    std::erase_if(before, [this](const std::string& one) { return among(told, one); });
    return true;
}

bool AddressBook::proved() {
    return !std::exchange(before, {}).empty();
}

std::vector<std::string> AddressBook::in_order() const {
    std::vector<std::string> out = told;
    out.insert(out.end(), before.begin(), before.end());
    return out;
}

Result<std::vector<std::string>> read_addresses(const Json& head) {
    std::vector<std::string> out;
    const Json& list = member(head, "addresses");
    if (!list.is_array() || list.empty() || list.size() > trust::invitation_addresses_max) {
        return fail(Code::refused, "a tier has 1 to " +
                                       std::to_string(trust::invitation_addresses_max) +
                                       " addresses");
    }
    for (const Json& one : list) {
        if (!one.is_string() || !trust::valid_address(one.get_ref<const std::string&>())) {
            return fail(Code::refused, "one of its addresses is none: " + dump(one));
        }
        if (!among(out, one.get_ref<const std::string&>())) {
            out.push_back(one.get<std::string>());
        }
    }
    return out;
}

ParentAddresses::ParentAddresses(World world) : world_(std::move(world)) {
    book_.before = world_.me.parent_addresses;
    world_.links.on("addresses",
                    [this](const std::string& from, const Message& m, const Links::Answer&) {
                        if (from == to_parent) {
                            take(m.head);
                        }
                    });
}

Status ParentAddresses::load() {
    auto text = world_.store.fact(addresses_fact);
    if (!text.ok()) {
        return text.error();
    }
    const Json fact = parse_object(*text);
    // What was learnt after another invitation than the one that counts is of another time.
    if (texts_of(fact, "invitation") == world_.me.parent_addresses) {
        book_ = {valid_ones(fact, "told"), valid_ones(fact, "before")};
        if (const std::string last = text_of(fact, "reached"); trust::valid_address(last)) {
            answered_ = last;
        }
    }
    return {};
}

void ParentAddresses::child_connected(const std::string& child) {
    // Without any, nothing is said: a child never takes absence for a word.
    std::vector<std::string> mine = world_.config.link.addresses;
    if (mine.empty()) {
        return;
    }
    mine.resize(std::min(mine.size(), trust::invitation_addresses_max));
    world_.links.tell(child, {{"t", "addresses"}, {"addresses", mine}});
}

void ParentAddresses::take(const Json& head) {
    auto now = read_addresses(head);
    if (!now.ok()) {
        world_.log.warn("parent.addresses", "what the parent says of where it is cannot be used: " +
                                                now.error().message);
        return;
    }
    if (!book_.take(*std::move(now))) {
        return;
    }
    world_.log.info("parent.addresses", "the parent has told where it is: " + listed(book_.told));
    prove();
    keep();
    tick();
}

void ParentAddresses::reached(const std::string& address) {
    reached_ = address;
    const bool moved =
        !address.empty() && world_.config.link.parent.empty() && answered_ != address;
    if (moved) {
        answered_ = address;
    }
    if (prove() || moved) {
        keep();
        tick();
    }
}

bool ParentAddresses::prove() {
    if (reached_.empty() || !among(numeric_addresses(book_.told, world_.resolve), reached_) ||
        !book_.proved()) {
        return false;
    }
    world_.log.info("parent.addresses", "the parent answers at " + reached_ + ", as it told");
    return true;
}

void ParentAddresses::keep() {
    const Json fact{{"invitation", world_.me.parent_addresses},
                    {"told", book_.told},
                    {"before", book_.before},
                    {"reached", answered_}};
    if (const Status kept = world_.store.set_fact(addresses_fact, dump(fact)); !kept.ok()) {
        world_.log.error("parent.addresses", kept.error().message);
    }
}

void ParentAddresses::tick() {
    if (!world_.me.has_parent()) {
        return;
    }
    std::vector<std::string> now = numeric();
    if (now == dialled_) {
        return;
    }
    if (prove()) { // a name is found that was not
        keep();
        now = numeric();
    }
    dialled_ = std::move(now);
    world_.moved();
}

std::vector<std::string> ParentAddresses::in_order() const {
    if (!world_.config.link.parent.empty()) {
        return world_.config.link.parent;
    }
    std::vector<std::string> out = book_.in_order();
    add(out, world_.me.parent_addresses, SIZE_MAX);
    return out;
}

std::vector<std::string> ParentAddresses::numeric() const {
    if (!world_.config.link.parent.empty()) {
        return numeric_addresses(world_.config.link.parent, world_.resolve);
    }
    // Names with many addresses leave room for those that come last.
    std::vector<std::string> last;
    add(last, numeric_addresses(world_.me.parent_addresses, world_.resolve), dialled_max / 4);
    if (!answered_.empty()) {
        add(last, {answered_}, SIZE_MAX);
    }
    std::vector<std::string> out;
    add(out, numeric_addresses(book_.in_order(), world_.resolve), dialled_max - last.size());
    add(out, last, dialled_max);
    return out;
}

Json ParentAddresses::json() const {
    Json out = Json::array();
    for (const std::string& one : in_order()) {
        const char* from = !world_.config.link.parent.empty()       ? "config"
                           : among(book_.told, one)                 ? "parent"
                           : among(world_.me.parent_addresses, one) ? "invitation"
                                                                    : "before";
        out.push_back({{"address", one}, {"from", from}});
    }
    if (world_.config.link.parent.empty() && !answered_.empty() &&
        !among(numeric_addresses(in_order(), world_.resolve), answered_)) {
        out.push_back({{"address", answered_}, {"from", "before"}});
    }
    return out;
}

} // namespace hasp::maint
