#include "run/manifest.h"

#include "base/fd.h"
#include "base/files.h"
#include "base/text.h"
#include "manifest_read.h"
#include "manifest_text.h"
#include "manifest_upstream.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>

namespace hasp::run {
namespace {

constexpr std::size_t title_bytes_max = 100;
constexpr std::size_t description_bytes_max = 1000;
constexpr std::size_t hosts_max = 16;

template <typename E, std::size_t N>
E choice(const std::string& word, const std::array<std::pair<std::string_view, E>, N>& words) {
    for (const auto& [name, value] : words) {
        if (word == name) {
            return value;
        }
    }
    return words[0].second;
}

Status read_app(const ManifestReader& in, Manifest& m) {
    for (const std::string_view key : {"name", "kind"}) {
        if (!in.has("app", key)) {
            return in.error("app", key, "is missing");
        }
    }
    m.name = in.text("app", "name");
    if (!valid_name(m.name)) {
        return in.error(
            "app", "name",
            "must be 1-40 characters of a-z, 0-9 and '-', beginning with a letter and not "
            "ending in '-'");
    }
    m.title = in.text("app", "title", m.name);
    if (m.title.empty() || m.title.size() > title_bytes_max || !printable(m.title)) {
        return in.error("app", "title", "must be one line of 1 to 100 bytes");
    }
    m.description = in.text("app", "description");
    if (m.description.size() > description_bytes_max) {
        return in.error("app", "description", "has more than 1000 bytes");
    }
    m.kind = choice<Kind, 3>(in.text("app", "kind"), {{{"static", Kind::static_files},
                                                       {"process", Kind::process},
                                                       {"upstream", Kind::upstream}}});
    m.access = choice<Access, 2>(in.text("app", "access"),
                                 {{{"users", Access::users}, {"public", Access::everyone}}});
    m.mount =
        choice<Mount, 3>(in.text("app", "mount", "both"),
                         {{{"both", Mount::both}, {"host", Mount::host}, {"path", Mount::path}}});
    m.strip_prefix = in.flag("app", "strip_prefix", m.kind != Kind::process);
    m.trusted_path = in.flag("app", "trusted_path", true);
    m.compress = in.flag("app", "compress", true);
    m.body_mib_max = in.number("app", "body_mib_max", 0);
    m.direct = choice<Direct, 3>(
        in.text("app", "direct", "never"),
        {{{"never", Direct::never}, {"pages", Direct::pages}, {"downloads", Direct::downloads}}});
    m.instance = choice<Instance, 2>(in.text("app", "instance"),
                                     {{{"app", Instance::app}, {"user", Instance::user}}});
    m.handover =
        choice<Handover, 2>(in.text("app", "handover"),
                            {{{"overlap", Handover::overlap}, {"exclusive", Handover::exclusive}}});
    m.on_data_change =
        choice<DataChange, 2>(in.text("app", "on_data_change"),
                              {{{"live", DataChange::live}, {"restart", DataChange::restart}}});
    m.at_expiry =
        choice<AtExpiry, 3>(in.text("app", "at_expiry"), {{{"continue", AtExpiry::go_on},
                                                           {"read-only", AtExpiry::read_only},
                                                           {"stop", AtExpiry::stop}}});
    const auto hosts = in.list("app", "hosts");
    if (hosts.size() > hosts_max) {
        return in.error("app", "hosts", "has more than 16 entries");
    }
    for (const std::string& host : hosts) {
        if (!host_name(host)) {
            return in.error("app", "hosts",
                            "every entry must be a host name, without scheme and port");
        }
        m.hosts.push_back(to_lower(host));
    }
    if (m.direct != Direct::never && m.mount == Mount::path) {
        return in.error("app", "direct", "an app with mount = \"path\" has no host of its own");
    }
    if (m.instance == Instance::user && m.kind != Kind::process) {
        return in.error("app", "instance", "only an app of kind = \"process\" has instances");
    }
    if (m.instance == Instance::user && m.access == Access::everyone) {
        return in.error("app", "access", "an app with one instance a user cannot be public");
    }
    return {};
}

Status read_sections(const ManifestReader& in, const Manifest& m) {
    struct Only {
        std::string_view section;
        Kind kind;
        const char* name;
    };
    for (const Only& only :
         {Only{"process", Kind::process, "process"}, Only{"limits", Kind::process, "process"},
          Only{"data", Kind::process, "process"}, Only{"static", Kind::static_files, "static"},
          Only{"upstream", Kind::upstream, "upstream"}}) {
        if (in.has(only.section) && m.kind != only.kind) {
            return in.error(only.section, "(section)",
                            std::string("only an app of kind = \"") + only.name + "\" has it",
                            "remove the section, or change [app] kind");
        }
    }
    return {};
}

// Every {word} in `text` must be known and have a value here.
Status check_words(const ManifestReader& in, const Manifest& m, std::string_view key,
                   std::string_view text) {
    static const std::vector<std::string> words = {"prefix", "user", "data",
                                                   "app",    "port", "socket"};
    for (std::size_t i = text.find('{'); i != std::string_view::npos; i = text.find('{', i + 1)) {
        const std::size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", i + 1);
        if (end == std::string_view::npos || text[end] != '}' || end == i + 1) {
            continue;
        }
        const std::string word(text.substr(i + 1, end - i - 1));
        if (std::ranges::find(words, word) == words.end()) {
            const std::string near = nearest(word, words);
            return in.error("process", key, "{" + word + "} is not known",
                            near.empty() ? "known are {prefix} {user} {data} {app} {port} {socket}"
                                         : "did you mean {" + near + "}?");
        }
        if (word == "prefix" && m.mount == Mount::both) {
            return in.error("process", key,
                            "{prefix} has one value for a process, and [app] mount = \"both\" two",
                            "set [app] mount to \"path\" or \"host\"");
        }
        if (word == "user" && m.instance == Instance::app) {
            return in.error(
                "process", key, "{user} has no value when one process serves all users",
                "set [app] instance = \"user\", or take the user from the identity headers");
        }
        if (word == "data" && m.data == DataScope::none) {
            return in.error("process", key, "{data} has no value with [data] scope = \"none\"");
        }
        if ((word == "port") == m.process.listen.unix_socket &&
            (word == "port" || word == "socket")) {
            return in.error("process", key, "{" + word + "} does not fit the way the app listens");
        }
    }
    return {};
}

Status read_command(const ManifestReader& in, Manifest& m) {
    for (const std::string_view key : {"command", "listen"}) {
        if (!in.has("process", key)) {
            return in.error("process", key, "is missing");
        }
    }
    Process& p = m.process;
    const std::string listen = in.text("process", "listen");
    const std::uint64_t port =
        listen.starts_with("tcp:") ? parse_u64(std::string_view(listen).substr(4)).value_or(0) : 0;
    if (listen == "unix") {
        p.listen.unix_socket = true;
    } else if (port >= 1024 && port <= 65535) {
        p.listen.port = static_cast<std::uint16_t>(port);
    } else {
        return in.error("process", "listen",
                        "must be \"tcp:PORT\" with a port from 1024 to 65535, or \"unix\"");
    }
    p.command = in.list("process", "command");
    if (p.command.empty() || p.command[0].empty()) {
        return in.error("process", "command", "must name a program");
    }
    p.init = in.list("process", "init");
    if (!p.init.empty() && p.init[0].empty()) {
        return in.error("process", "init", "must name a program");
    }
    if (!p.init.empty() && m.data == DataScope::none) {
        return in.error("process", "init",
                        "there is no data folder to fill with [data] scope = \"none\"");
    }
    p.env = in.map("process", "env");
    for (const std::string& argument : p.command) {
        if (Status s = check_words(in, m, "command", argument); !s) {
            return s;
        }
    }
    for (const std::string& argument : p.init) {
        if (Status s = check_words(in, m, "init", argument); !s) {
            return s;
        }
    }
    for (const auto& [name, value] : p.env) {
        if (!env_name(name)) {
            return in.error(
                "process", "env",
                "a name must consist of letters, digits and '_', and HASP_… is hasp's own");
        }
        if (Status s = check_words(in, m, "env", value); !s) {
            return s;
        }
    }
    return {};
}

Status read_process(const ManifestReader& in, Manifest& m) {
    const bool per_user = m.instance == Instance::user;
    m.data = choice<DataScope, 3>(
        in.text("data", "scope", per_user ? "user" : "app"),
        {{{"user", DataScope::user}, {"app", DataScope::app}, {"none", DataScope::none}}});
    if (m.data == DataScope::user && !per_user) {
        return in.error("data", "scope", "one process for all users cannot have one user's folder",
                        "set [app] instance = \"user\", or scope to \"app\" or \"none\"");
    }
    if (Status s = read_command(in, m); !s) {
        return s;
    }
    Process& p = m.process;
    p.ready_path = in.text("process", "ready_path", p.ready_path);
    p.health_path = in.text("process", "health_path", p.ready_path);
    for (const std::string_view key : {"ready_path", "health_path"}) {
        if (!request_path(key == "ready_path" ? p.ready_path : p.health_path)) {
            return in.error("process", key,
                            "must begin with '/' and have no spaces, controls or '#'");
        }
    }
    p.ready_status = static_cast<int>(in.number("process", "ready_status", p.ready_status));
    p.ready_s = in.number("process", "ready_s", p.ready_s);
    p.health_interval_s = in.number("process", "health_interval_s", p.health_interval_s);
    p.health_timeout_s = in.number("process", "health_timeout_s", p.health_timeout_s);
    p.idle_stop_s = in.number("process", "idle_stop_s", p.idle_stop_s);
    p.stop_grace_s = in.number("process", "stop_grace_s", p.stop_grace_s);
    p.limits.processes = in.number("limits", "processes", p.limits.processes);
    p.limits.memory_mb = in.number("limits", "memory_mb", p.limits.memory_mb);
    p.limits.files = in.number("limits", "files", p.limits.files);
    p.limits.file_size_mb = in.number("limits", "file_size_mb", p.limits.file_size_mb);
    return {};
}

Status read_static(const ManifestReader& in, Manifest& m) {
    m.files.root = in.text("static", "root", m.files.root);
    m.files.index = in.text("static", "index", m.files.index);
    m.files.fallback = in.text("static", "fallback");
    if (!inside(m.files.root)) {
        return in.error("static", "root", "must be a path inside the release, without \"..\"");
    }
    if (!inside(m.files.index) || m.files.index.find('/') != std::string::npos) {
        return in.error("static", "index", "must be a file name");
    }
    if (!m.files.fallback.empty() && m.files.fallback != m.files.index) {
        return in.error("static", "fallback", "must be the same file as index");
    }
    return {};
}

Status read_identity(const ManifestReader& in, Manifest& m) {
    IdentityHeaders& id = m.identity;
    const std::array<std::pair<std::string_view, std::string*>, 5> headers = {
        {{"user_header", &id.user},
         {"name_header", &id.name},
         {"email_header", &id.email},
         {"groups_header", &id.groups},
         {"prefix_header", &id.prefix}}};
    for (const auto& [key, value] : headers) {
        *value = in.text("identity", key, *value);
        if (!header_name(*value)) {
            return in.error("identity", key, "must be a header name of letters, digits and '-'");
        }
        if (reserved_header(*value)) {
            return in.error("identity", key, "this header has a meaning of its own");
        }
    }
    for (std::size_t i = 0; i < headers.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            if (!headers[i].second->empty() && iequals(*headers[i].second, *headers[j].second)) {
                return in.error("identity", headers[i].first,
                                "the same header as " + std::string(headers[j].first));
            }
        }
    }
    return {};
}

} // namespace

Result<Manifest> parse_manifest(std::string_view text, const std::string& file_name) {
    ManifestReader in(file_name);
    if (Status s = in.load(text); !s) {
        return s.error();
    }
    Manifest m;
    for (Status (*step)(const ManifestReader&, Manifest&) :
         {+[](const ManifestReader&r, Manifest&out) { return read_app(r, out); },
          +[](const ManifestReader&r, Manifest&out) { return read_sections(r, out); },
          +[](const ManifestReader&r, Manifest&out) {
              switch (out.kind) {
              case Kind::process:
                  return read_process(r, out);
              case Kind::static_files:
                  return read_static(r, out);
              case Kind::upstream:
                  return read_upstream(r, out);
              }
              return Status();
          },
          +[](const ManifestReader&r, Manifest&out) { return read_identity(r, out); },
          +[](const ManifestReader&r, Manifest&out) { return read_headers(r, out); }}) {
        if (Status s = step(in, m); !s) {
            return s.error();
        }
    }
    return m;
}

Result<Manifest> read_manifest(const std::string& dir) {
    const std::string path = dir + "/" + manifest_file_name;
    // The folder is its publisher's: a link could lead to a file of ours, a pipe would block.
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd) {
        if (errno == ELOOP) {
            return fail(Code::refused, path + " is a symbolic link, and must be a file");
        }
        Error error = errno_error(errno, "cannot open " + path);
        error.hint = "an app's folder holds its manifest at the top: see hasp-app.toml(5)";
        return error;
    }
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) {
        return fail(Code::refused, path + " is not a regular file");
    }
    auto text = read_file("/proc/self/fd/" + std::to_string(fd.get()), manifest_bytes_max);
    if (!text) {
        return text.error();
    }
    return parse_manifest(*text, path);
}

std::string substitute(std::string_view text, const Substitutions& with) {
    const std::array<std::pair<std::string_view, const std::string*>, 6> words = {
        {{"{prefix}", &with.prefix},
         {"{user}", &with.user},
         {"{data}", &with.data},
         {"{app}", &with.app},
         {"{port}", &with.port},
         {"{socket}", &with.socket}}};
    std::string out;
    while (!text.empty()) {
        const auto* word =
            std::ranges::find_if(words, [&](const auto& w) { return text.starts_with(w.first); });
        if (word != words.end()) {
            out += *word->second;
            text.remove_prefix(word->first.size());
        } else {
            out += text[0];
            text.remove_prefix(1);
        }
    }
    return out;
}

} // namespace hasp::run
