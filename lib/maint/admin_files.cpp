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
    commands_["sync.status"] = [this](const Json&, const Answer& answer) {
        answer(world_.files.status());
    };
}

} // namespace hasp::maint
