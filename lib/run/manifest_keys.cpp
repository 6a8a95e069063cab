// The table of keys of hasp-app.toml. The parser takes types and limits from here, the manual page
// everything.
#include "run/manifest.h"

namespace hasp::run {

const std::vector<KeyRow>& manifest_keys() {
    static const std::vector<KeyRow> rows = {
        {"app", "name", "string", "", "", "required",
         "The app's name in its realm and in addresses: 1-40 characters of a-z, 0-9 and '-', "
         "beginning with a letter and not ending in '-'."},
        {"app", "title", "string", "", "", "at most 100 bytes",
         "What people see on the portal. The name when it is missing."},
        {"app", "description", "string", "", "", "at most 1000 bytes",
         "One or two sentences for the portal."},
        {"app", "kind", "static | process | upstream", "", "", "required",
         "What answers: files of the release, a process started from it, or an HTTP server "
         "elsewhere."},
        {"app", "access", "users | public", "", "users", "",
         "Whether only users who are entitled to the app reach it, or anyone without logging in."},
        {"app", "hosts", "array of strings", "", "[]", "at most 16 entries",
         "Further host names under which the app is served, besides the one made from its name."},
        {"app", "mount", "host | path | both", "", "both", "",
         "Where the app may be served: by its own host name, under /apps/NAME, or both. An app "
         "whose base path stands on its command line ({prefix}) can be mounted one way only."},
        {"app", "strip_prefix", "boolean", "", "", "",
         "Under /apps/NAME: whether the app sees the path without this prefix. Default: true, for "
         "kind = process false."},
        {"app", "trusted_path", "boolean", "", "true", "",
         "Whether the app is trusted so far that its pages may share the portal's origin, as they "
         "do "
         "under /apps/NAME. It travels with the app; mount says where the app is served."},
        {"app", "compress", "boolean", "", "true", "",
         "Whether hasp compresses the app's answers (text, JSON and the like) for clients that "
         "take "
         "it. False for an app whose pages hold both a secret and what the request said, if it "
         "does "
         "not hide the secret's length and value itself (the attack is called BREACH). An answer "
         "with Content-Encoding or Cache-Control: no-transform is never touched, and files that "
         "stand compressed in the release are sent in any case."},
        {"app", "body_mib_max", "integer", "MiB", "0", "0-65535",
         "How long the body of a request may be (else 413), where the app is served. The tiers on "
         "the way have limits of their own, [web] body_mib_max in hasp.toml. 0: those alone."},
        {"app", "direct", "never | pages | downloads", "", "never", "",
         "Whether a browser that reaches the tier where the app runs is sent there, so that "
         "answers "
         "do not cross the tiers between. pages: with whatever page it opens; from then on it "
         "talks to that tier. downloads: only with a page or file of 1 MiB and more, everything "
         "else stays. The browser sees another host name there: what the app keeps in it (cookies, "
         "local storage) does not come along. Which terminals reach which tier is said by "
         "direct_url and direct_networks in hasp.toml(5), or found out by the portal."},
        {"app", "instance", "app | user", "", "app", "",
         "One process for all users, or one for each."},
        {"app", "handover", "overlap | exclusive", "", "overlap", "",
         "How a new release takes the place of the old one. It is first tried on an empty folder "
         "of "
         "its own (with instance = user for the user \"trial\"). overlap: then it is started "
         "beside "
         "the old one, on the same data folder; new requests go to it as soon as it is ready, and "
         "the "
         "old one has 30 s for those under way and for its WebSockets. exclusive, for apps that "
         "must "
         "not run twice on one data folder: the old one finishes its requests and stops, "
         "WebSockets "
         "end, and new requests wait for the new one. If the new one does not come up, or crashes "
         "three times within 30 s, the old one serves again until another release is assigned."},
        {"app", "on_data_change", "live | restart", "", "live", "",
         "Whether the app notices files of its user's folder that another tier has changed, or "
         "must "
         "be restarted. restart: what came is put in place when the app has ended, which it is "
         "told "
         "once nobody has used it for 2 s, and after 10 s at the latest; the next request starts "
         "it "
         "anew."},
        {"app", "at_expiry", "continue | read-only | stop", "", "continue", "",
         "What is to happen at a tier whose lease to run the app has ended, until it is renewed. "
         "continue: sessions and tokens that began before the end go on and running processes are "
         "not stopped; whoever logs in later is refused, and so is who comes through another tier "
         "or without a session; no process is started. read-only: GET, HEAD, OPTIONS, PROPFIND and "
         "REPORT are served, everything else and WebSockets are answered with 409. stop: nothing "
         "is served and its processes are stopped."},

        {"process", "command", "array of strings", "", "",
         "required, at most 64 entries of 4096 bytes",
         "The program and its arguments, started in the release's folder (/app in the sandbox). A "
         "program without a '/' is looked up in /usr/bin. Words replaced, here and in init and "
         "env: "
         "{prefix} (/apps/NAME with mount = path, else nothing), {user} (with instance = user), "
         "{data} "
         "(the data folder), {app} (the release), {port}, {socket}."},
        {"process", "init", "array of strings", "", "[]", "at most 64 entries of 4096 bytes",
         "A command that is run once, on an empty data folder, before the first start. What it "
         "writes counts only if it exits with 0 within five minutes."},
        {"process", "listen", "string", "", "", "required",
         "Where the app listens: \"tcp:PORT\" (1024-65535) on 127.0.0.1 of its own private "
         "network, or \"unix\" at the path in $HASP_SOCKET."},
        {"process", "env", "table of strings", "", "{}", "at most 64 entries of 4096 bytes",
         "Further environment variables. Names beginning with HASP_ are hasp's."},
        {"process", "ready_path", "string", "", "/", "at most 1024 bytes",
         "The path asked for to find out whether the app is ready: it is when the answer has "
         "ready_status."},
        {"process", "ready_status", "integer", "", "", "200-599",
         "The status that counts as ready. Without it, any from 200 to 499."},
        {"process", "ready_s", "integer", "s", "30", "1-600",
         "How long a start may take. After that the app is stopped, and its last lines of output "
         "are "
         "reported."},
        {"process", "health_path", "string", "", "", "at most 1024 bytes",
         "The path asked for while the app runs. ready_path when it is missing."},
        {"process", "health_interval_s", "integer", "s", "30", "0-3600",
         "The time between two health probes; 0: none. An app that misses two is killed."},
        {"process", "health_timeout_s", "integer", "s", "10", "1-300",
         "How long an answer to a health probe may take. Any answer will do."},
        {"process", "idle_stop_s", "integer", "s", "900", "0-604800",
         "The app is stopped when nobody has used it for so long; 0: never. The next request "
         "starts it."},
        {"process", "stop_grace_s", "integer", "s", "10", "0-300",
         "The time between SIGTERM and SIGKILL."},

        {"limits", "processes", "integer", "", "200", "1-10000",
         "Processes and threads of one instance, together."},
        {"limits", "memory_mb", "integer", "MiB", "1024", "16-1048576",
         "Memory of one instance where cgroup v2 is available; elsewhere data of each of its "
         "processes."},
        {"limits", "files", "integer", "", "1024", "16-1048576", "Open files of each process."},
        {"limits", "file_size_mb", "integer", "MiB", "1024", "1-1048576",
         "Size of the largest file that the app may write."},

        {"data", "scope", "user | app | none", "", "", "",
         "Whose the data is: each user's own folder, one dataset for the app (kept by one tier, "
         "see "
         "--home of `hasp app add`), or nothing is kept. Default for kind = process: user with "
         "instance = user, else app. The other kinds keep none."},

        {"static", "root", "string", "", ".", "", "The folder of the release that is served."},
        {"static", "index", "string", "", "index.html", "", "The file served for a folder."},
        {"static", "fallback", "string", "", "", "",
         "For apps that make their pages in the browser: the file served for a page that does not "
         "exist, relative to root. Must be index. Without it there is an answer 404."},

        {"upstream", "urls", "array of strings", "", "", "required, 1-8 entries",
         "Addresses of the same service, as http://HOST[:PORT][/PATH] or https://…; the request's "
         "path is put after PATH, and Host is HOST[:PORT]. Requests are spread over the addresses "
         "that are up; a name that stands for several counts as so many (32 in all). One that "
         "cannot be connected to is down at once, and the others take over; it is tried again "
         "after half a second, then ever more seldom, at most 10 s apart."},
        {"upstream", "weights", "array of integers", "", "", "one for each of urls, 1-100",
         "Which share of the requests each of urls gets. Without it all get the same."},
        {"upstream", "errors", "integer", "", "3", "1-100",
         "So many requests within error_window_s that an address did not answer in time, or "
         "broke off before an answer, and it is down. The last one that is up stays up."},
        {"upstream", "error_window_s", "integer", "s", "30", "1-3600",
         "The time within which errors are counted."},
        {"upstream", "health_path", "string", "", "", "at most 1024 bytes",
         "A path that each address is asked for beside the requests, with the values of [headers] "
         "that are the same for everybody. Without it, an address that is down is up again when "
         "it can be connected to."},
        {"upstream", "health_interval_s", "integer", "s", "10", "1-3600",
         "The time between two checks of one address, give or take a tenth."},
        {"upstream", "health_timeout_s", "integer", "s", "5", "1-300",
         "How long a check may take, from the connect to the head of its answer."},
        {"upstream", "health_status", "string", "", "200-399", "from 200 to 599",
         "The status of a good check: one, or two of them with a dash between."},
        {"upstream", "health_fails", "integer", "", "3", "1-20",
         "So many checks that fail one after the other, and the address is down."},
        {"upstream", "health_passes", "integer", "", "2", "1-20",
         "So many good checks one after the other, and it is up again."},

        {"identity", "user_header", "string", "", "Remote-User", "",
         "The header in which the app is told the account. Empty here and in the other ones: not "
         "sent."},
        {"identity", "name_header", "string", "", "Remote-Name", "",
         "The header with the full name, UTF-8 and percent-encoded."},
        {"identity", "email_header", "string", "", "Remote-Email", "",
         "The header with the e-mail address."},
        {"identity", "groups_header", "string", "", "Remote-Groups", "",
         "The header with the groups, separated by commas."},
        {"identity", "prefix_header", "string", "", "", "",
         "The header with the prefix under which the user sees the app, for example "
         "X-Script-Name."},

        {"headers", "request", "table of strings", "", "{}", "at most 32 entries of 1024 bytes",
         "Headers that every request to the app gets, in place of what the client sent under the "
         "name. In a value {user}, {name}, {email} and {groups} stand for who asks, as in "
         "[identity]; to somebody who is not signed on such a header does not exist. Headers of "
         "the connection, of the body, of conditions and those that hasp writes are refused, and "
         "so is Host. Who can read the release can read the values."},
        {"headers", "answer", "table of strings", "", "{}", "at most 32 entries of 1024 bytes",
         "Headers that every answer of the app gets, in place of what the app said."},
        {"headers", "remove", "array of strings", "", "[]", "at most 32 entries",
         "Headers that are taken out of every answer of the app."},
    };
    return rows;
}

} // namespace hasp::run
