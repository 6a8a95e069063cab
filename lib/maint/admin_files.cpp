// Operators' commands about users' files.
#include "admin.h"

#include "base/text.h"

namespace hasp::maint {

namespace {

// Names of files are bytes, JSON is UTF-8: in hex where both are said.
std::string path_of(const Json& args) {
    const std::string hex = text_of(args, "path_hex");
    // Hex that is none is no path, not that of everything.
    return hex.empty() ? text_of(args, "path") : from_hex(hex).value_or("/");
}

} // namespace

void Admin::file_commands() {
    commands_["sync.begin"] = [this](const Json& args, const Answer& answer) {
        world_.files.begin({text_of(args, "user"), text_of(args, "app"),
                            true_of(args, "release_deletions"), true_of(args, "begin_anew"),
                            true_of(args, "discard"), true_of(args, "wait")},
                           [answer](Result<std::int64_t> round) {
                               answer(round.ok() ? Result<Json>(Json{{"round", *round}})
                                                 : Result<Json>(round.error()));
                           });
    };
    commands_["sync.look"] = [this](const Json& args, const Answer& answer) {
        world_.files.look(int_of(args, "round"), count_of(args, "seen"), answer);
    };
    commands_["sync.versions"] = [this](const Json& args, const Answer& answer) {
        const Json& after = member(args, "after");
        world_.files.versions({text_of(args, "user"),
                               text_of(args, "app"),
                               path_of(args),
                               true_of(args, "removed"),
                               {path_of(after), count_of(after, "revision")}},
                              answer);
    };
    commands_["sync.restore"] = [this](const Json& args, const Answer& answer) {
        sync::RestoreWish wish;
        wish.user = text_of(args, "user");
        wish.app = text_of(args, "app");
        wish.path = path_of(args);
        wish.dry_run = true_of(args, "dry_run");
        if (args.contains("at_us")) {
            wish.at_us = int_of(args, "at_us");
        }
        if (args.contains("revision")) {
            wish.revision = count_of(args, "revision");
        }
        world_.files.restore(wish, answer);
    };
    commands_["sync.quarantine"] = [this](const Json& args, const Answer& answer) {
        world_.files.quarantine({int_of(args, "release"), int_of(args, "delete")}, answer);
    };
    commands_["sync.status"] = [this](const Json&, const Answer& answer) {
        answer(world_.files.status());
    };
    commands_["sync.owed"] = [this](const Json&, const Answer& answer) {
        answer(Json{{"owed", world_.owed()}});
    };
}

} // namespace hasp::maint
