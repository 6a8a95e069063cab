// Operators' commands about centers beside this one.
#include "admin.h"

namespace hasp::maint {

void Admin::peer_commands() {
    commands_["peer.export"] = [this](const Json& args, const Answer& answer) {
        std::vector<std::string> addresses = texts_of(args, "addresses");
        auto line = world_.peers.card(addresses.empty() ? world_.config.link.addresses : addresses);
        answer(line.ok() ? Result<Json>(Json{{"line", *line}}) : Result<Json>(line.error()));
    };
    commands_["peer.add"] = [this](const Json& args, const Answer& answer) {
        const std::string name = text_of(args, "name");
        const Status put = world_.peers.put(
            {name, text_of(args, "line"), texts_of(args, "use"), texts_of(args, "offer")});
        answer(put.ok() ? Result<Json>(world_.peers.json(name)) : Result<Json>(put.error()));
    };
    commands_["peer.list"] = [this](const Json&, const Answer& answer) {
        answer(Json{{"peers", world_.peers.json()}});
    };
    commands_["peer.remove"] = [this](const Json& args, const Answer& answer) {
        answer(answer_of(world_.peers.remove(text_of(args, "name"))));
    };
}

} // namespace hasp::maint
