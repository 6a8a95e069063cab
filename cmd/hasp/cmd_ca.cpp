// hasp ca …: the authority whose certificates browsers see.
#include "commands.h"
#include "state.h"

namespace hasp::cmd {

namespace {

std::string words(const std::vector<std::string>& list) {
    std::string out;
    for (const std::string& one : list) {
        out += (out.empty() ? "" : ", ") + one;
    }
    return out;
}

std::string authority_text(const Json& r) {
    if (text_of(r, "from") != "here") {
        return "This tier is no authority; its certificate is by one above: hasp ca export\n";
    }
    std::string out = text_of(r, "name") + ", the authority for browsers of " + text_of(r, "tier") +
                      "\nsigns for  " + words(texts_of(r, "permits")) + "\nends       " +
                      text_of(r, "ends") + "\n";
    if (r.contains("names_differ")) {
        out += "hasp.toml has other names: " + words(texts_of(r, "names_differ")) +
               "; they count with the next authority: hasp ca renew\n";
    }
    if (true_of(r, "late")) {
        out += "It ends in less than a year: hasp ca renew, and give the next one to everybody\n";
    }
    if (r.contains("next")) {
        out += "The next one is made. Give it to everybody (hasp ca export --next), then: hasp ca "
               "renew --use\n";
    }
    return out;
}

int ca_show(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "ca.show", Json::object()), authority_text);
}

int ca_renew(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "ca.renew", {{"use", args.flag("use")}}),
                authority_text);
}

int ca_export(const Args& args, Env& env) {
    auto said = run_at_state(args, env, "ca.show", Json::object());
    const char* key = args.flag("next") ? "next" : "certificate";
    if (said.ok() && text_of(*said, key).empty()) {
        said = fail(Code::not_found, "there is no next authority", "make one: hasp ca renew");
    }
    return show(args, env, std::move(said), [key](const Json& r) { return text_of(r, key); });
}

} // namespace

std::vector<Command> ca_commands() {
    return {
        {.path = {"ca"}, .summary = "show, hand out and renew the authority for browsers"},
        {.path = {"ca", "show"},
         .summary = "show the authority for browsers",
         .description =
             "A tier with names under [web_ca] in hasp.toml is an authority for the browsers of "
             "its subtree: tiers with tls_from = \"lan\" under [web] have their certificates from "
             "it. Says which names it can sign for, and until when.",
         .examples = {{"hasp ca show", "Shows the authority of this tier."}},
         .exit_codes = {5},
         .run = ca_show},
        {.path = {"ca", "export"},
         .summary = "print the authority's certificate, as PEM",
         .description =
             "This is what the users' devices are told to trust, by a group policy or by whatever "
             "manages them; doc/certificates.md has the steps for each system. It can be printed "
             "at the authority and at each tier that has a certificate of it. There is no secret "
             "in it.",
         .options = {{.name = "next", .text = "that of the next authority, before it is used"}},
         .examples = {{"hasp ca export > clinic-ca.crt", "Writes it into a file."}},
         .exit_codes = {5},
         .run = ca_export},
        {.path = {"ca", "renew"},
         .summary = "make the next authority, and use it once everybody trusts it",
         .description =
             "In two steps. Without --use the next authority is made, with the names that "
             "hasp.toml has now, and only kept: give what `hasp ca export --next` prints to "
             "everybody. With --use it takes the place of the one before; tiers get their next "
             "certificates from it when they are due, so both must be trusted until the last of "
             "the old ones has ended ([web_ca] days).",
         .options = {{.name = "use", .text = "put the one that was made into use"}},
         .examples = {{"hasp ca renew", "Makes the next one."},
                      {"hasp ca renew --use", "Uses it from now on."}},
         .exit_codes = {5, 6},
         .run = ca_renew},
    };
}

} // namespace hasp::cmd
