#include "tree.h"

#include "base/files.h"
#include "base/text.h"
#include "maint/enrol_request.h"
#include "maint/tier_identity.h"
#include "release_repo.h"
#include "trust/certificate.h"
#include "trust/invite.h"

#include <cstdlib>
#include <unistd.h>

namespace hasp::maint::tests {

namespace {
constexpr int steps_max = 200'000; // an endless conversation is a bug

// A message that PROTOCOL.md does not show fails each test that it crosses in, once.
void tell_once(const std::string& unknown) {
    static std::pair<const testing::TestInfo*, std::string> told;
    const std::pair<const testing::TestInfo*, std::string> now{
        testing::UnitTest::GetInstance()->current_test_info(),
        unknown.substr(0, unknown.find('\n'))};
    if (!unknown.empty() && now != told) {
        told = now;
        ADD_FAILURE() << unknown;
    }
}
} // namespace

std::string PageSeen::header(const std::string& name) const {
    for (const auto& [key, value] : headers) {
        if (key == name) {
            return value;
        }
    }
    return "";
}

std::string PageSeen::cookie() const {
    const std::string text = header("set-cookie");
    const std::size_t eq = text.find('=');
    return eq == std::string::npos ? "" : text.substr(eq + 1, text.find(';') - eq - 1);
}

Node::Node(Tree& tree, std::string node_name, std::string folder, Config node_config)
    : name(std::move(node_name)), state(std::move(folder)), config(std::move(node_config)),
      tree_(tree) {
    // What passwords cost is tested elsewhere: at the default it would be a third of these tests.
    if (config.login.password_cost == signon::Argon2Cost{}) {
        config.login.password_cost = {8, 1, 1};
    }
}

void Node::send_front(std::string_view head, std::string_view body, std::span<const int> fds) {
    Json json = parse_object(head);
    const std::string type = text_of(json, "t");
    if (type == "link.data") {
        tree_.post([this, link = int_of(json, "link"), bytes = std::string(body)] {
            tree_.carry(*this, link, bytes);
        });
    } else if (type == "link.cut") {
        tree_.post([this, neighbour = text_of(json, "neighbour")] {
            tree_.cut_neighbour(*this, neighbour);
        });
    } else if (type == "retire" && !hold_retired) {
        tree_.give(*this, {{"t", "retired"}, {"ask", int_of(json, "ask")}});
    } else if (json.contains("id")) {
        answers_[int_of(json, "id")] = {std::string(head), std::string(body), {}};
    } else {
        if (type == "snapshot") {
            ASSERT_EQ(fds.size(), 1U);
            auto mapped = registry::Snapshot::map(fds[0]);
            ASSERT_TRUE(mapped.ok()) << mapped.error().message;
            snapshot = *std::move(mapped);
        } else if (type == "credentials") {
            credentials = json;
        }
        to_front.push_back(std::move(json));
    }
}

void Node::send_spawner(std::string_view head, std::string_view) {
    const Json json = parse_object(head);
    const std::string who = text_of(json, "instance");
    if (who.find("~trial") == std::string::npos) {
        to_spawner.push_back(json);
        return;
    }
    trials.push_back(json);
    if (answer_trials) {
        const bool start = text_of(json, "t") == "start";
        tree_.post([this, who, start] { event(who, start ? "ready" : "stopped"); });
    }
}

void Node::event(const std::string& which, const std::string& kind, const Json& more) {
    Json head{{"t", "event"},
              {"instance", which},
              {"kind", kind},
              {"state", kind == "ready" || kind == "stopped" ? kind : "failing"},
              {"since_us", tree_.clock.wall_us()}};
    head.update(more);
    if (keeper != nullptr) {
        keeper->on_spawner({dump(head), {}, {}});
        keeper->flush();
    }
}

std::string Node::process(const std::string& instance) const {
    for (auto at = to_spawner.rbegin(); at != to_spawner.rend(); ++at) {
        if (text_of(*at, "t") == "start" && text_of(*at, "instance").starts_with(instance + "@")) {
            return text_of(*at, "instance");
        }
    }
    return "";
}

void Node::answer_admin(std::uint64_t client, std::string_view head, std::string_view) {
    admin_answers_[client] = parse_object(head);
}

void Node::background(std::function<void()> work, std::function<void()> done) {
    ++background_runs;
    auto job = [this, work = std::move(work), done = std::move(done)] {
        work();
        done();
        keeper->flush();
    };
    if (hold_background && background_passes-- <= 0) {
        held.emplace_back(std::move(job));
    } else {
        tree_.post(std::move(job));
    }
}

void Node::outside_http(OutsideCall call, std::function<void(Result<OutsideAnswer>)> done) {
    tree_.post([this, call = std::move(call), done = std::move(done)] {
        if (outside) {
            done(outside(call));
        } else {
            done(fail(Code::unreachable, call.url + " cannot be asked"));
        }
        keeper->flush();
    });
}

void Node::outside_command(std::vector<std::string> words, std::function<void(Status)> done) {
    tree_.post([this, words = std::move(words), done = std::move(done)] {
        commands.push_back(words);
        done({});
        keeper->flush();
    });
}

void Node::let_background_go() {
    hold_background = false;
    for (auto& job : held) {
        tree_.post(std::move(job));
    }
    held.clear();
    tree_.settle();
}

void Node::open() {
    auto opened = Keeper::open({state, config, "test", true, whole_levels, files, watch}, *this,
                               tree_.clock, tree_.random, tree_.log);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    keeper = *std::move(opened);
    if (gate != nullptr) {
        keeper->come_later(gate);
    }
    keeper->spawner_connected();
    keeper->on_spawner({dump({{"t", "isolation"}, {"text", "a test's"}}), {}, {}});
    keeper->front_connected();
    keeper->flush();
}

void Node::close() {
    keeper.reset();
    snapshot.reset();
}

Result<Json> Node::admin(const std::string& command, const Json& args, const std::string& body) {
    const auto client = static_cast<std::uint64_t>(next_id_++);
    tree_.post([this, client, body, text = dump({{"cmd", command}, {"args", args}})] {
        keeper->on_admin(client, {text, body, {}});
        keeper->flush();
    });
    tree_.settle();
    const auto at = admin_answers_.find(client);
    if (at == admin_answers_.end()) {
        return fail(Code::timed_out, "no answer yet");
    }
    if (at->second.contains("error")) {
        return error_of(member(at->second, "error"));
    }
    return member(at->second, "result");
}

std::optional<ipc::Frame> Node::ask(Json head, std::string body) {
    const std::int64_t id = next_id_++;
    head["id"] = id;
    tree_.give(*this, head, body);
    tree_.settle();
    return late_answer();
}

std::optional<ipc::Frame> Node::late_answer() {
    const auto at = answers_.find(next_id_ - 1);
    if (at == answers_.end()) {
        return std::nullopt;
    }
    return std::move(at->second);
}

std::optional<PageSeen> Node::page(Json head, std::string body) {
    Json full{{"t", "page"},
              {"method", "GET"},
              {"scheme", "http"},
              {"authority", "portal.example:8480"},
              {"host", "portal.example"},
              {"target", "/"},
              {"client", "192.0.2.1"},
              {"sid", ""},
              {"door", "users"},
              {"headers", Json::object()}};
    full.update(head);
    auto frame = ask(full, std::move(body));
    if (!frame) {
        return std::nullopt;
    }
    const Json answer = parse_object(frame->head);
    PageSeen seen{static_cast<int>(int_of(answer, "status")), {}, frame->body};
    for (const Json& header : member(answer, "headers")) {
        seen.headers.emplace_back(header[0].get<std::string>(), header[1].get<std::string>());
    }
    return seen;
}

std::optional<PageSeen> Node::get(const std::string& target, const Json& more) {
    Json head{{"target", target}};
    head.update(more);
    return page(head);
}

std::optional<PageSeen> Node::log_in(const std::string& user, const std::string& password,
                                     const std::string& next, const Json& more) {
    Json head{{"method", "POST"},
              {"target", "/hasp/login"},
              {"headers", {{"origin", "http://portal.example:8480"}}}};
    head.update(more);
    return page(head, "user=" + percent_encode(user) + "&password=" + percent_encode(password) +
                          "&next=" + percent_encode(next));
}

Json Node::who(Json question) {
    question["t"] = "who";
    auto frame = ask(std::move(question));
    return frame ? member(parse_object(frame->head), "identity") : Json("no answer");
}

Json Node::who_cookie(const std::string& secret, const std::string& host) {
    return who({{"kind", "cookie"}, {"secret", secret}, {"host", host}, {"client", "192.0.2.1"}});
}

Json Node::who_token(const std::string& text, const std::string& user) {
    Json question{{"kind", "token"}, {"secret", text}, {"client", "192.0.2.1"}};
    if (!user.empty()) {
        question["user"] = user;
    }
    return who(std::move(question));
}

Json Node::who_link(const std::string& child, const std::string& sid) {
    return who({{"kind", "link"}, {"child", child}, {"sid", sid}});
}

Json Node::status() {
    auto result = admin("status");
    return result.ok() ? *result : Json();
}

registry::App Node::app(const std::string& app_name) const {
    return snapshot ? snapshot->find(app_name) : registry::App{};
}

std::vector<std::string> Node::errors() {
    std::vector<std::string> out;
    for (const Json& error : member(status(), "errors")) {
        out.push_back(text_of(error, "id") + ": " + text_of(error, "text"));
    }
    return out;
}

Tree::Tree()
    : log(std::getenv("HASP_TEST_LOG") != nullptr ? STDERR_FILENO : -1, clock, "test", false,
          std::getenv("HASP_TEST_LOG") != nullptr ? Level::debug : Level::error) {
    // In memory where there is such a place: simulated weeks make many small transactions.
    const bool memory = ::access("/dev/shm", W_OK) == 0;
    std::string made = (memory ? "/dev/shm" : testing::TempDir()) + "/hasp_tree_XXXXXX";
    if (::mkdtemp(made.data()) == nullptr) {
        std::abort();
    }
    dir_ = made;
}

Tree::~Tree() {
    events_.clear();
    nodes_.clear();
    EXPECT_TRUE(remove_read_only_tree(dir_).ok());
}

Node& Tree::top(const std::string& name, Config config) {
    auto me = make_top_identity("clinics", name, clock, random);
    EXPECT_TRUE(me.ok() && save_identity(folder(name) + "/keys", *me).ok());
    nodes_.push_back(std::make_unique<Node>(*this, name, folder(name), std::move(config)));
    nodes_.back()->open();
    settle();
    return *nodes_.back();
}

std::string Tree::invite(Node& parent, const std::string& name) {
    auto line = parent.admin("local.invite", {{"name", name}, {"addresses", {"192.0.2.1:8490"}}});
    EXPECT_TRUE(line.ok()) << line.error().message;
    return line.ok() ? text_of(*line, "invitation") : "";
}

std::string Tree::request_of(const std::string& invitation, const std::string& keys_folder,
                             Random& random) {
    auto parsed = trust::parse_invitation(invitation);
    auto keys = prepare_join_keys(keys_folder, random);
    EXPECT_TRUE(parsed.ok() && keys.ok());
    return enrol_request(*parsed, keys->envelope_key, keys->tls_key);
}

PageSeen Tree::enrol(Node& parent, const std::string& request) {
    auto seen = parent.page({{"method", "POST"}, {"target", "/hasp/link/enrol"}, {"door", "link"}},
                            request);
    EXPECT_TRUE(seen.has_value());
    return seen.value_or(PageSeen{});
}

Node& Tree::make_node(Node& parent, const std::string& invitation, const std::string& state,
                      const std::string& answer, Config config) {
    auto parsed = trust::parse_invitation(invitation);
    auto keys = prepare_join_keys(state + "/keys", random);
    const Json json = parse_object(answer);
    auto chain = trust::from_pem(text_of(json, "ca_chain"));
    auto leaf = trust::from_pem(text_of(json, "tls_cert"));
    EXPECT_TRUE(parsed.ok() && keys.ok() && chain.ok() && leaf.ok());
    EXPECT_TRUE(
        save_identity(state + "/keys",
                      {*parsed->parent.child(parsed->name), parsed->realm_id,
                       static_cast<std::uint64_t>(int_of(json, "epoch")), keys->envelope_key,
                       keys->tls_key, *chain, leaf->front(), parsed->addresses})
            .ok());
    nodes_.push_back(std::make_unique<Node>(*this, parsed->name, state, std::move(config)));
    Node& node = *nodes_.back();
    parents_[&node] = &parent;
    node.open();
    settle();
    return node;
}

Node& Tree::below(Node& parent, const std::string& name, Config config) {
    const std::string invitation = invite(parent, name);
    const std::string state = folder(parent.name + "." + name);
    const PageSeen answer = enrol(parent, request_of(invitation, state + "/keys", random));
    EXPECT_EQ(answer.status, 200) << answer.body;
    Node& node = make_node(parent, invitation, state, answer.body, std::move(config));
    EXPECT_TRUE(link(node));
    return node;
}

std::vector<Node*> Tree::chain(std::size_t depth, const Config& config) {
    static const std::vector<std::string> names{"upper", "center", "tokyo", "ward"};
    std::vector<Node*> out{&top(names[0], config)};
    while (out.size() < depth) {
        out.push_back(&below(*out.back(), names[out.size()], config));
    }
    pass_s(2);
    return out;
}

void Tree::add_user(Node& home, const std::string& user, const std::string& password,
                    const std::vector<std::string>& apps) {
    const auto added = home.admin("user.add", {{"name", user}, {"password", password}});
    EXPECT_TRUE(added.ok()) << added.error().message;
    if (!apps.empty()) {
        EXPECT_TRUE(home.admin("user.entitle", {{"user", user}, {"apps", apps}}).ok());
    }
}

std::string Tree::add_app(Node& at, const std::string& app, const std::vector<std::string>& to,
                          const Json& more, std::size_t noise_bytes) {
    const std::string dir = folder("source-" + app);
    EXPECT_TRUE(make_folders(dir).ok());
    const bool personal = true_of(more, "personal"); // a program and a folder a user
    const bool dataset = personal || true_of(more, "dataset");
    const std::string url = text_of(more, "url"); // a server elsewhere
    std::string manifest = "[app]\nname = \"" + app + "\"\ntitle = \"The " + app + "\"\nkind = \"" +
                           (dataset       ? "process"
                            : url.empty() ? "static"
                                          : "upstream") +
                           "\"\nmount = \"both\"\n" + text_of(more, "manifest");
    manifest +=
        dataset
            ? std::string(personal ? "instance = \"user\"\n" : "") +
                  "[process]\ncommand = [\"/bin/cat\"]\nlisten = \"tcp:5232\"\n[data]\nscope = \"" +
                  (personal ? "user" : "app") + "\"\n"
        : !url.empty() ? "[upstream]\nurls = [\"" + url + "\"]\n"
                       : "[static]\nroot = \".\"\nindex = \"index.html\"\n";
    EXPECT_TRUE(write_file_durably(dir + "/hasp-app.toml", manifest, 0644).ok());
    EXPECT_TRUE(
        write_file_durably(dir + "/index.html", "the " + app + text_of(more, "text"), 0644).ok());
    if (noise_bytes > 0) {
        EXPECT_TRUE(write_file_durably(dir + "/noise.bin", random.bytes(noise_bytes), 0644).ok());
    }
    Json args{{"dir", dir}, {"to", to}};
    args.update(more);
    const auto added = at.admin("app.add", args);
    EXPECT_TRUE(added.ok()) << added.error().message;
    return added.ok() ? text_of(*added, "release") : "";
}

Node* Tree::parent_of(const Node& child) const {
    const auto at = parents_.find(&child);
    return at == parents_.end() ? nullptr : at->second;
}

void Tree::give(Node& node, const Json& head, const std::string& body) {
    post([&node, text = dump(head), body] {
        if (node.keeper != nullptr) {
            node.keeper->on_front({text, body, {}});
            node.keeper->flush();
        }
    });
}

bool Tree::link(Node& child) {
    settle();
    Node& parent = *parent_of(child);
    const std::string key =
        to_hex(trust::spki_fingerprint(child.keeper->identity().tls_key.spki_der()));
    bool known = false;
    for (const Json& row : member(parent.credentials, "children")) {
        known = known || (text_of(row, "name") == child.name && text_of(row, "key") == key);
    }
    if (!known) {
        return false;
    }
    auto wire = std::make_unique<Wire>(Wire{&child, &parent, next_link_, next_link_ + 1});
    next_link_ += 2;
    give(child, {{"t", "parent"},
                 {"up", true},
                 {"address", "192.0.2.1:8490"},
                 {"since_us", clock.wall_us()},
                 {"why", ""}});
    give(parent, {{"t", "link.open"}, {"link", wire->parent_link}, {"neighbour", child.name}});
    give(child, {{"t", "link.open"}, {"link", wire->child_link}, {"neighbour", ""}});
    wires_.push_back(std::move(wire));
    settle();
    return linked(child);
}

bool Tree::linked(const Node& child) const {
    return std::any_of(wires_.begin(), wires_.end(),
                       [&](const auto& wire) { return wire->child == &child; });
}

void Tree::drop(const Wire& wire) {
    give(*wire.parent, {{"t", "link.close"}, {"link", wire.parent_link}, {"why", "it was cut"}});
    give(*wire.child, {{"t", "link.close"}, {"link", wire.child_link}, {"why", "it was cut"}});
    give(*wire.child, {{"t", "parent"},
                       {"up", false},
                       {"address", ""},
                       {"since_us", clock.wall_us()},
                       {"why", "it was cut"}});
}

void Tree::cut(Node& child) {
    std::erase_if(wires_, [&](const auto& wire) {
        if (wire->child != &child) {
            return false;
        }
        drop(*wire);
        return true;
    });
    settle();
}

void Tree::cut_neighbour(Node& from, const std::string& neighbour) {
    std::erase_if(wires_, [&](const auto& wire) {
        const bool meant = neighbour.empty()
                               ? wire->child == &from
                               : wire->parent == &from && wire->child->name == neighbour;
        if (meant) {
            drop(*wire);
        }
        return meant;
    });
}

void Tree::carry(Node& from, std::int64_t link, const std::string& bytes) {
    for (const auto& wire : wires_) {
        const bool up = wire->child == &from && wire->child_link == link;
        if (!up && !(wire->parent == &from && wire->parent_link == link)) {
            continue;
        }
        Node& to = up ? *wire->parent : *wire->child;
        bool lost = false;
        bool dropped = false;
        [[maybe_unused]] const Status fed =
            (up ? wire->up : wire->down).feed(bytes, [&](ipc::Frame&& frame, std::size_t) {
                Json head = parse_object(frame.head);
                if (!cut_at_.first.empty() && text_of(head, "t") == cut_at_.first &&
                    cut_at_.second-- == 0) {
                    lost = true;
                }
                dropped = (drops_contents && head.contains("content")) ||
                          (!drops.empty() && text_of(head, "t") == drops);
                tell_once(Golden::of_maint().unknown(
                    wire->conversation.hear(up, head, !frame.body.empty())));
                crossed.push_back({from.name, to.name, std::move(head), frame.body});
                return true;
            });
        if (lost) {
            cut_at_ = {};
            Node& child = *wire->child;
            std::erase_if(wires_, [&](const auto& other) {
                if (other->child == &child) {
                    drop(*other);
                    return true;
                }
                return false;
            });
            return;
        }
        if (!dropped) {
            give(to, {{"t", "link.data"}, {"link", up ? wire->parent_link : wire->child_link}},
                 bytes);
        }
        return;
    }
}

void Tree::forge(Node& child, const Json& head, const std::string& body) {
    forge_text(child, dump(head), body);
}

void Tree::say(Node& child, const Json& head, const std::string& body) {
    for (const auto& wire : wires_) {
        if (wire->child == &child) {
            std::string bytes;
            EXPECT_TRUE(ipc::encode_frame(bytes, dump(head), body).ok());
            carry(child, wire->child_link, bytes);
            break;
        }
    }
    settle();
}

void Tree::whisper(Node& child, const Json& head, const std::string& body) {
    for (const auto& wire : wires_) {
        if (wire->child == &child) {
            std::string bytes;
            EXPECT_TRUE(ipc::encode_frame(bytes, dump(head), body).ok());
            give(child, {{"t", "link.data"}, {"link", wire->child_link}}, bytes);
        }
    }
    settle();
}

void Tree::forge_text(Node& child, const std::string& head, const std::string& body) {
    for (const auto& wire : wires_) {
        if (wire->child == &child) {
            std::string bytes;
            EXPECT_TRUE(ipc::encode_frame(bytes, head, body).ok());
            give(*wire->parent, {{"t", "link.data"}, {"link", wire->parent_link}}, bytes);
        }
    }
    settle();
}

void Tree::restart(Node& node) {
    std::vector<Node*> again;
    std::erase_if(wires_, [&](const auto& wire) {
        if (wire->child != &node && wire->parent != &node) {
            return false;
        }
        again.push_back(wire->child);
        drop(*wire);
        return true;
    });
    settle();
    node.close();
    node.open();
    settle();
    for (Node* child : again) {
        EXPECT_TRUE(link(*child));
    }
}

void Tree::power_cut() {
    std::vector<Node*> linked_before;
    for (const auto& node : nodes_) {
        if (linked(*node)) {
            linked_before.push_back(node.get());
            cut(*node);
        }
    }
    for (const auto& node : nodes_) {
        node->close();
    }
    clock.boot = 1'000'000;
    clock.boot_name = "boot " + std::to_string(++boots_);
    for (const auto& node : nodes_) {
        node->open();
    }
    settle();
    for (Node* child : linked_before) {
        EXPECT_TRUE(link(*child));
    }
}

void Tree::settle() {
    for (int steps = 0; !events_.empty(); ++steps) {
        if (steps > steps_max) {
            ADD_FAILURE() << "the tiers never stop talking";
            events_.clear();
            return;
        }
        auto event = std::move(events_.front());
        events_.pop_front();
        event();
    }
}

void Tree::pass_s(std::int64_t seconds, std::int64_t step_s) {
    for (std::int64_t passed = 0; passed < seconds; passed += step_s) {
        clock.advance_us(step_s * 1'000'000);
        for (const auto& node : nodes_) {
            if (node->keeper != nullptr) {
                node->keeper->tick();
                node->keeper->flush();
            }
        }
        settle();
    }
}

std::size_t Tree::count(const std::string& type) const {
    return static_cast<std::size_t>(
        std::count_if(crossed.begin(), crossed.end(),
                      [&](const Crossed& c) { return text_of(c.head, "t") == type; }));
}

} // namespace hasp::maint::tests
