// Operators' commands about users' files.
#include "admin.h"

namespace hasp::maint {

void Admin::file_commands() {
    commands_["sync.begin"] = [this](const Json& args, const Answer& answer) {
        world_.files.begin({text_of(args, "user"), text_of(args, "app"),
                            true_of(args, "release_deletions"), true_of(args, "begin_anew"),
                            true_of(args, "wait")},
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
                               text_of(args, "path"),
                               true_of(args, "removed"),
                               {text_of(after, "path"), count_of(after, "revision")}},
                              answer);
    };
    commands_["sync.restore"] = [this](const Json& args, const Answer& answer) {
        sync::RestoreWish wish;
        wish.user = text_of(args, "user");
        wish.app = text_of(args, "app");
        wish.path = text_of(args, "path");
        wish.dry_run = true_of(args, "dry_run");
        if (args.contains("at_us")) {
            wish.at_us = int_of(args, "at_us");
        }
        if (args.contains("revision")) {
            wish.revision = count_of(args, "revision");
        }
        world_.files.restore(wish, answer);
    };
    commands_["sync.status"] = [this](const Json&, const Answer& answer) {
        answer(world_.files.status());
    };
}

} // namespace hasp::maint
