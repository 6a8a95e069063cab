// Batches from below: whose they may be, their signatures, and the word that they are durable here.
#include "ledger.h"
#include "ledger_words.h"
#include "trust/envelope.h"

#include <limits>

namespace hasp::maint {

void Ledger::serve_children() {
    world_.links.on("usage", [this](const std::string& from, const Message& message,
                                    const Links::Answer& answer) {
        if (from == to_parent) {
            answer(fail(Code::refused, "usage goes up, not down"));
            return;
        }
        on_usage(from, message, answer);
    });
}

// The chain that a child may add to: its own, or of a tier below it. Nothing is stored for others.
Result<billing::Chain> Ledger::chain_of(const std::string& child, const billing::ChainKey& key,
                                        const std::string& certificates) {
    auto row = world_.store.child(child);
    auto name = world_.me.name.child(child);
    auto tier = trust::TierName::parse(key.tier);
    if (!row.ok() || !name.ok() || !tier.ok()) {
        return !row.ok() ? row.error() : fail(Code::refused, "usage of a tier without a name");
    }
    const bool direct = *tier == *name;
    if (!*row || (*row)->state != "enrolled" || !tier->is_in_subtree(*name)) {
        return fail(Code::refused,
                    "the tier '" + child + "' may not speak for the usage of " + key.tier);
    }
    if (direct && key.epoch > static_cast<std::uint64_t>((*row)->epoch)) {
        return fail(Code::refused, "usage of " + key.tier + " in an epoch that it was never given");
    }
    auto held = world_.ledger.chain(key);
    if (!held.ok()) {
        return held.error();
    }
    if (*held) {
        return **held;
    }
    if (certificates.empty()) {
        return fail(Code::not_found, "certificates");
    }
    auto chains = world_.ledger.chains();
    if (!chains.ok() || chains->size() >= usage_chains_max) {
        return chains.ok() ? fail(Code::refused, "usage of too many tiers") : chains.error();
    }
    billing::Chain made;
    made.key = key;
    made.certificates = certificates;
    auto vouched = keys_.key_of(made);
    if (!vouched.ok()) {
        return vouched.error();
    }
    if (direct && key.epoch == static_cast<std::uint64_t>((*row)->epoch) &&
        vouched->raw() != (*row)->envelope_key) {
        keys_.forget(key);
        return fail(Code::refused, "usage of " + key.tier +
                                       " is signed with another key than the "
                                       "one that was enrolled");
    }
    if (Status opened = world_.ledger.open_chain(key, certificates); !opened.ok()) {
        return opened.error();
    }
    return made;
}

std::string Ledger::ack(const std::string& child, const billing::ChainKey& key,
                        const billing::Received& received) {
    const std::int64_t now = world_.clock.wall_us();
    auto sealed =
        trust::seal({"usage-ack",
                     world_.me.realm_id,
                     world_.me.name,
                     *world_.me.name.child(child),
                     {key.epoch, received.want.stream},
                     now,
                     std::numeric_limits<std::int64_t>::max()},
                    encode_ack({key, received.want, received.head_hash}), world_.me.envelope_key);
    return sealed.ok() ? *sealed : std::string();
}

void Ledger::on_usage(const std::string& child, const Message& message,
                      const Links::Answer& answer) {
    const billing::ChainKey key{text_of(message.head, "tier"),
                                static_cast<std::uint64_t>(int_of(message.head, "epoch"))};
    auto chain = chain_of(child, key, text_of(message.head, "certificates"));
    if (!chain.ok() && chain.error().code == Code::not_found) {
        answer(Message{{{"need", "certificates"}}, {}});
        return;
    }
    auto packed = message.body.size() > usage_message_bytes_max
                      ? fail(Code::refused, "a message with usage is larger than the limit of " +
                                                std::to_string(usage_message_bytes_max) + " bytes")
                      : unpack_batches(message.body);
    Status good = !chain.ok()    ? Status(chain.error())
                  : !packed.ok() ? Status(packed.error())
                                 : Status();
    std::vector<billing::SealedBatch> batches;
    for (std::size_t i = 0; good.ok() && i < packed->size(); ++i) {
        auto header = keys_.open(*chain, (*packed)[i].first);
        auto batch = header.ok() ? billing::check_batch(*header, (*packed)[i].first,
                                                        (*packed)[i].second, crypto_)
                                 : header.error();
        if (batch.ok() && batch->header.epoch == key.epoch) {
            batches.push_back(*std::move(batch));
        } else {
            good = batch.ok() ? fail(Code::refused, "a usage batch is of another epoch")
                              : batch.error();
        }
    }
    auto received = good.ok() ? world_.ledger.receive(key, batches, world_.clock.wall_us())
                              : Result<billing::Received>(good.error());
    if (!received.ok()) {
        world_.log.warn("usage.refused", received.error().message, {{"tier", child}});
        answer(received.error());
        return;
    }
    if (received->taken > 0) {
        dirty_ = true;
    }
    if (received->last == billing::Verdict::fork) {
        const std::string what = "usage of " + key.tier +
                                 " contradicts what it reported before: two boxes run with its "
                                 "key, or its disk was set back";
        world_.log.error("usage.fork", what);
        if (const Status kept =
                world_.store.add_error({world_.clock.wall_us(), "usage.fork", what});
            !kept.ok()) {
            world_.log.error("errors.keep", kept.error().message);
        }
        if (on_change_) {
            on_change_();
        }
        answer(fail(Code::refused, what,
                    "find the other box, or enrol this one anew: see `hasp status` at the parent"));
        return;
    }
    answer(Message{{{"stream", received->want.stream}, {"next", received->want.next}},
                   ack(child, key, *received)});
}

} // namespace hasp::maint
