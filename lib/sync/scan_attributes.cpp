// Reader: extended attributes, and what they mean beside those that were agreed on.
#include "scan.h"
#include "sync/attributes.h"

namespace hasp::sync {

std::string attributes_of(const Seen& seen) {
    return seen.attributes == nullptr ? std::string() : seen.attributes->meant;
}

bool same_attributes(const Seen& a, const Seen& b) {
    return a.attributes == b.attributes ||
           (a.attributes != nullptr && b.attributes != nullptr && *a.attributes == *b.attributes);
}

std::shared_ptr<const SeenAttributes> looked_at(const FoundAttributes& found, const Seen* known) {
    static const auto none = std::make_shared<const SeenAttributes>();
    const SeenAttributes& before =
        known != nullptr && known->attributes != nullptr ? *known->attributes : *none;
    if (!found.all) {
        SeenAttributes out = before;
        out.looked = true;
        out.all = false;
        out.stale = false;
        return std::make_shared<const SeenAttributes>(std::move(out));
    }
    SeenAttributes out;
    out.here = found.attributes;
    if (!found.supported) {
        out.meant = before.meant; // nobody removed them
        return std::make_shared<const SeenAttributes>(std::move(out));
    }
    // What nobody has looked at before may be missing here for want of room, and not removed.
    out.meant = before.looked ? carry_over(before.here, out.here, before.meant)
                              : carry_over("", out.here, before.meant);
    return out.here.empty() && out.meant.empty()
               ? none
               : std::make_shared<const SeenAttributes>(std::move(out));
}

std::shared_ptr<const SeenAttributes> came_as(const std::string& meant,
                                              const FoundAttributes& found) {
    SeenAttributes out;
    out.meant = meant;
    out.all = found.all;
    auto came = read_attributes(meant);
    auto stands = read_attributes(found.attributes);
    if (came && stands) {
        std::erase_if(*stands, [&came](const auto& one) {
            const auto there = came->find(one.first);
            return there == came->end() || there->second != one.second;
        });
        out.here = write_attributes(*stands);
    }
    return std::make_shared<const SeenAttributes>(std::move(out));
}

// Behind the content: what changes in between has other stamps than those of the content, and is
// looked at again.
Status Reader::add_attributes(const std::string& path, const Seen* known, Seen& now) {
    if (known != nullptr) {
        now.attributes = known->attributes;
    }
    auto found = disk_.attributes(path);
    if (!found && found.error().code != Code::failed) {
        return found.error();
    }
    if (!looks_at_attributes_ && now.attributes != nullptr && now.attributes->looked) {
        const SeenAttributes& then = *now.attributes;
        if (!found || found->all != then.all || (then.all && found->attributes != then.here)) {
            has_untold_attributes_ = true;
            SeenAttributes stale = then;
            stale.stale = true;
            now.attributes = std::make_shared<const SeenAttributes>(std::move(stale));
        }
        return {};
    }
    if (!found && looks_at_attributes_) {
        // One file that cannot be asked stops no other; the next look asks again.
        SeenAttributes unread;
        unread.meant = attributes_of(now);
        unread.looked = unread.all = false;
        now.attributes = std::make_shared<const SeenAttributes>(std::move(unread));
        return {};
    }
    if (!looks_at_attributes_ && !(found && found->all && found->attributes.empty())) {
        has_untold_attributes_ = true;
        return {};
    }
    now.attributes = looked_at(*found, known);
    return {};
}

Result<Seen> Reader::look(const std::string& path, const Seen* known, const std::string& expected) {
    auto seen = look_at_content(path, expected);
    if (seen) {
        if (Status added = add_attributes(path, known, *seen); !added) {
            return added.error();
        }
    }
    return seen;
}

} // namespace hasp::sync
