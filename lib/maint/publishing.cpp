#include "publishing.h"

#include "base/text.h"

#include <algorithm>
#include <tuple>

namespace hasp::maint {

namespace {

// Epochs are given out from above and only rise: a release of an earlier one is an old one.
bool newer(const trust::Counter& a, const trust::Counter& b) {
    return std::tie(a.epoch, a.number) > std::tie(b.epoch, b.number);
}

std::string text(const trust::Counter& counter) {
    return std::to_string(counter.epoch) + "." + std::to_string(counter.number);
}

} // namespace

Result<Origin> Publishing::origin_of(const std::string& name) const {
    if (name == me_.name.text()) {
        return self();
    }
    // Our own certificate is good as long as we have it: what it says of those above us does not
    // end with it.
    auto above = trust::verify_ca_chain(me_.ca_chain_der, me_.realm_id, clock_.wall_us());
    if (!above.ok()) {
        return above.error();
    }
    for (const trust::CaKey& tier : *above) {
        if (tier.name.text() == name) {
            return Origin{me_.realm_id, tier.name, tier.key};
        }
    }
    return fail(Code::refused,
                name + " is no tier above this one, so it decides about no app here");
}

Result<PublishersRow> Publishing::row_of(const std::string& app) {
    auto row = store_.publishers(app);
    if (!row.ok()) {
        return row.error();
    }
    // What another tier published under that name is not ours to go on with.
    return *row && (*row)->origin == me_.name.text()
               ? **row
               : PublishersRow{app, me_.name.text(), {}, {}, {}};
}

Result<std::vector<std::string>> Publishing::keys_in(const PublishersRow& row,
                                                     const Origin& origin) const {
    if (row.statement.empty()) {
        return std::vector<std::string>{};
    }
    auto publishers = open_publishers(row.statement, row.app, origin);
    return publishers.ok() ? Result<std::vector<std::string>>(publishers->keys)
                           : Result<std::vector<std::string>>(publishers.error());
}

Result<trust::Counter> Publishing::next_sequence(const std::string& app) {
    auto row = row_of(app);
    auto rows = store_.releases(app);
    if (!row.ok() || !rows.ok()) {
        return row.ok() ? rows.error() : row.error();
    }
    trust::Counter last = row->newest;
    if (!rows->empty() && newer(rows->front().sequence, last)) {
        last = rows->front().sequence;
    }
    return last.epoch > me_.epoch    ? trust::Counter{last.epoch, last.number + 1}
           : last.epoch == me_.epoch ? trust::Counter{me_.epoch, last.number + 1}
                                     : trust::Counter{me_.epoch, 1};
}

Result<std::vector<std::string>> Publishing::keys(const std::string& app) {
    auto row = row_of(app);
    return row.ok() ? keys_in(*row, self()) : Result<std::vector<std::string>>(row.error());
}

Result<std::vector<std::string>> Publishing::keys_or_first(const std::string& app,
                                                           const std::string& first) {
    auto row = row_of(app);
    auto listed = row.ok() ? keys_in(*row, self()) : Result<std::vector<std::string>>(row.error());
    if (!listed.ok() || first.empty() || first == me_.envelope_key.public_key().raw() ||
        std::find(listed->begin(), listed->end(), first) != listed->end()) {
        return listed;
    }
    if (row->newest == trust::Counter{} && listed->empty()) {
        return std::vector<std::string>{first};
    }
    std::string names;
    for (const std::string& key : *listed) {
        names += (names.empty() ? "" : ", ") + key_name(key);
    }
    return fail(Code::refused,
                "'" + app + "' is published with " +
                    (names.empty() ? "the key of " + me_.name.text() : "the key " + names) +
                    ", not with " + key_name(first),
                "if the new key is right, say so at " + me_.name.leaf() + ": hasp app allow " +
                    app + " --key PUBLIC_KEY_FILE");
}

Result<std::string> Publishing::sign(const Release& release, const std::string& source) const {
    Claim claim{{release.epoch, release.number}, {}, source, clock_.wall_us()};
    return sign_release(release, claim, self(), me_.envelope_key);
}

Status Publishing::publish(const ReleaseRow& release) {
    return store_.transact([&]() -> Status {
        auto row = row_of(release.app);
        auto listed =
            row.ok() ? keys_in(*row, self()) : Result<std::vector<std::string>>(row.error());
        if (!listed.ok()) {
            return listed.error();
        }
        if (!newer(release.sequence, row->newest)) {
            return fail(Code::conflict,
                        "another release of '" + release.app +
                            "' was published meanwhile: " + text(row->newest),
                        "look at it with `hasp app releases " + release.app +
                            "`, and push again if yours is to follow it");
        }
        const std::string own = me_.envelope_key.public_key().raw();
        if (listed->empty() && row->newest == trust::Counter{} && release.key != own) {
            auto sealed = seal_publishers({release.app, {release.key}, {me_.epoch, 1}}, self(),
                                          me_.envelope_key, clock_.wall_us());
            if (!sealed.ok()) {
                return sealed.error();
            }
            row->statement = *sealed;
        }
        row->newest = release.sequence;
        row->release_id = release.release_id;
        if (Status put = store_.put_release(release); !put.ok()) {
            return put;
        }
        return store_.put_publishers(*row);
    });
}

Status Publishing::allow(const std::string& app, const std::string& key, bool allowed) {
    return store_.transact([&]() -> Status {
        auto row = row_of(app);
        if (!row.ok()) {
            return row.error();
        }
        Publishers list{app, {}, {me_.epoch, 0}};
        if (!row->statement.empty()) {
            auto opened = open_publishers(row->statement, app, self());
            if (!opened.ok()) {
                return opened.error();
            }
            list = *std::move(opened);
        }
        const auto at = std::lower_bound(list.keys.begin(), list.keys.end(), key);
        const bool listed = at != list.keys.end() && *at == key;
        if (listed == allowed) {
            return {};
        }
        if (allowed) {
            list.keys.insert(at, key);
        } else {
            list.keys.erase(at);
        }
        list.counter = list.counter.epoch == me_.epoch
                           ? trust::Counter{me_.epoch, list.counter.number + 1}
                           : trust::Counter{me_.epoch, 1};
        auto sealed = seal_publishers(list, self(), me_.envelope_key, clock_.wall_us());
        if (!sealed.ok()) {
            return sealed.error();
        }
        row->statement = *std::move(sealed);
        return store_.put_publishers(*row);
    });
}

Result<ReleaseRow> Publishing::signed_release(const AssignmentRow& row) {
    auto held = store_.release(row.app, row.release_id);
    if (!held.ok() || !*held) {
        return held.ok() ? fail(Code::not_found, "this tier does not hold that release")
                         : held.error();
    }
    if (!(*held)->signature.empty() || row.origin != me_.name.text()) {
        return **held;
    }
    ReleaseRow release = **held;
    auto decoded = decode_release(release.manifest);
    auto signature = decoded.ok() ? sign(*decoded, {}) : Result<std::string>(decoded.error());
    if (!signature.ok()) {
        return signature.error();
    }
    release.sequence = {decoded->epoch, decoded->number};
    release.signature = *std::move(signature);
    release.key = me_.envelope_key.public_key().raw();
    const Status kept = store_.put_release(release);
    return kept.ok() ? Result<ReleaseRow>(std::move(release)) : Result<ReleaseRow>(kept.error());
}

Result<std::string> Publishing::statement(const std::string& app) {
    auto row = store_.publishers(app);
    if (!row.ok()) {
        return row.error();
    }
    return *row ? (*row)->statement : std::string();
}

bool Publishing::proven(const AssignmentRow& row) {
    auto release = store_.release(row.app, row.release_id);
    if (!release.ok() || !*release || (*release)->signature.empty() ||
        newer(row.sequence, (*release)->sequence)) {
        return false;
    }
    if (row.target != me_.name.text()) {
        return true;
    }
    auto held = store_.publishers(row.app);
    return held.ok() && *held && (*held)->origin == row.origin &&
           (*held)->release_id == row.release_id;
}

Result<ReleaseRow> Publishing::prove(const AssignmentRow& row, const Release& release,
                                     const std::string& signature, const std::string& statement) {
    auto origin = origin_of(row.origin);
    auto held = store_.publishers(row.app);
    if (!origin.ok() || !held.ok()) {
        return origin.ok() ? held.error() : origin.error();
    }
    if (signature.empty()) {
        return fail(Code::refused, "the release of '" + row.app + "' came without a signature",
                    "the tier above may run an older hasp: update it first");
    }
    PublishersRow known{row.app, row.origin, statement, {}, {}};
    if (*held && (*held)->origin == row.origin) {
        known.newest = (*held)->newest;
        known.release_id = (*held)->release_id;
        if (statement.empty()) {
            known.statement = (*held)->statement;
        } else if (!(*held)->statement.empty()) {
            auto before = open_publishers((*held)->statement, row.app, *origin);
            auto now = open_publishers(statement, row.app, *origin);
            if (before.ok() && now.ok() && newer(before->counter, now->counter)) {
                return fail(Code::refused, "the list of publishers of '" + row.app +
                                               "' is older than the one that is held here");
            }
        }
    }
    auto listed = keys_in(known, *origin);
    if (!listed.ok()) {
        return listed.error();
    }
    auto proof = verify_claim(release, signature, *listed, *origin);
    if (!proof.ok()) {
        return proof.error();
    }
    const trust::Counter sequence = proof->claim.sequence;
    if (newer(row.sequence, sequence)) {
        return fail(Code::refused, "the release of '" + row.app +
                                       "' came with an older signature: " + text(sequence) +
                                       " instead of " + text(row.sequence));
    }
    if (row.target == me_.name.text() && known.release_id != row.release_id &&
        !newer(sequence, known.newest)) {
        return fail(Code::refused, "the release of '" + row.app + "' has the sequence " +
                                       text(sequence) + ", and this tier had " +
                                       text(known.newest) + " already");
    }
    return ReleaseRow{row.app,        row.release_id,   encode_release(release),
                      release.commit, clock_.wall_us(), sequence,
                      signature,      proof->key,       proof->claim.source};
}

Status Publishing::took(const AssignmentRow& row, const ReleaseRow& release,
                        const std::string& statement) {
    return store_.transact([&]() -> Status {
        auto held = store_.publishers(row.app);
        if (!held.ok()) {
            return held.error();
        }
        PublishersRow next{row.app, row.origin, statement, {}, {}};
        if (*held && (*held)->origin == row.origin) {
            next.newest = (*held)->newest;
            next.release_id = (*held)->release_id;
            next.statement = statement.empty() ? (*held)->statement : statement;
        }
        if (row.target == me_.name.text()) {
            next.newest = newer(release.sequence, next.newest) ? release.sequence : next.newest;
            next.release_id = row.release_id;
        }
        if (Status put = store_.put_release(release); !put.ok()) {
            return put;
        }
        return store_.put_publishers(next);
    });
}

std::vector<std::string> Publishing::superfluous(const std::string& app,
                                                 const std::set<std::string>& in_use,
                                                 std::size_t kept) {
    std::vector<std::string> out;
    auto rows = store_.releases(app);
    for (std::size_t i = kept; rows.ok() && i < rows->size(); ++i) {
        if (!in_use.contains((*rows)[i].release_id)) {
            out.push_back((*rows)[i].release_id);
        }
    }
    return out;
}

} // namespace hasp::maint
