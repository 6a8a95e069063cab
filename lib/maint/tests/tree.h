// A tree of tiers in one thread: real keepers over temporary folders, a clock and a source of
// randomness that the test owns, and in the place of each front a few lines that carry the control
// streams' bytes. Every message that crosses is held against the examples in PROTOCOL.md. Nothing
// happens but inside settle() and the calls that use it, in the same order at every run.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "golden.h"
#include "json_tools.h"
#include "maint/keeper.h"
#include "registry/snapshot.h"
#include "sync/open_gate.h"
#include "sync/watch.h"

#include <deque>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hasp::maint::tests {

class Tree;

inline constexpr const char* good_password = "correct horse";
inline constexpr std::int64_t day_s = 24LL * 3600;

struct PageSeen {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    std::string header(const std::string& name) const;
    // The secret in the cookie that was set; empty: none.
    std::string cookie() const;
};

class Node final : public KeeperPorts {
  public:
    Node(Tree& tree, std::string name, std::string state, Config config);

    void send_front(std::string_view head, std::string_view body,
                    std::span<const int> fds) override;
    void send_spawner(std::string_view head, std::string_view body) override;
    void answer_admin(std::uint64_t client, std::string_view head, std::string_view body) override;
    void background(std::function<void()> work, std::function<void()> done) override;
    void outside_http(OutsideCall call, std::function<void(Result<OutsideAnswer>)> done) override;
    void outside_command(std::vector<std::string> words, std::function<void(Status)> done) override;

    void open();
    void close();

    // An operator's command; the answer, or an error that says that there was none yet.
    Result<Json> admin(const std::string& command, const Json& args = Json::object(),
                       const std::string& body = {});
    // A frame of front's with an answer; nothing when it was not answered.
    std::optional<ipc::Frame> ask(Json head, std::string body = {});
    // The answer to the last question, if it came late.
    std::optional<ipc::Frame> late_answer();
    std::optional<PageSeen> page(Json head, std::string body = {});
    std::optional<PageSeen> get(const std::string& target, const Json& more = Json::object());
    std::optional<PageSeen> log_in(const std::string& user, const std::string& password,
                                   const std::string& next = "/",
                                   const Json& more = Json::object());
    // What front gets to know for a cookie, a token, or a child's session; null: nobody.
    Json who(Json question);
    Json who_cookie(const std::string& secret, const std::string& host = "portal.example");
    Json who_token(const std::string& text, const std::string& user = {});
    Json who_link(const std::string& child, const std::string& sid);
    Json status();
    registry::App app(const std::string& name) const;
    // Route::nowhere when the snapshot does not have it.
    registry::Route route(const std::string& app_name) const {
        const registry::App found = app(app_name);
        return found ? found.route() : registry::Route::nowhere;
    }
    std::vector<std::string> errors();

    std::string name;
    std::string state;
    Config config;
    std::unique_ptr<Keeper> keeper;
    std::shared_ptr<const registry::Snapshot> snapshot;
    Json credentials;
    std::vector<Json> to_front;   // everything but answers and bytes of links
    std::vector<Json> to_spawner; // but trials
    std::vector<Json> trials;
    bool answer_trials = true; // what is tried comes up
    bool hold_retired = false; // else no request is ever under way
    // Says that this happened to a process. settle() is the caller's.
    void event(const std::string& which, const std::string& kind,
               const Json& more = Json::object());
    // The spawner's name of the process that was ordered last for an instance; empty: none was.
    std::string process(const std::string& instance) const;
    int background_runs = 0;
    bool whole_levels = true;             // as KeeperOptions has it; counts from the next open()
    std::shared_ptr<sync::Watch> watch;   // from the next open() on
    std::shared_ptr<sync::OpenGate> gate; // the same
    FilesPlace files;                     // the same; empty: `state` as it is
    bool hold_background = false;
    int background_passes = 0; // so many are done all the same
    std::deque<std::function<void()>> held;
    void let_background_go();
    // What is outside, in words of a test; null: nothing is reached.
    std::function<OutsideAnswer(const OutsideCall&)> outside;
    std::vector<std::vector<std::string>> commands; // that were run

  private:
    friend class Tree;
    Tree& tree_;
    std::map<std::int64_t, ipc::Frame> answers_;
    std::map<std::uint64_t, Json> admin_answers_;
    std::int64_t next_id_ = 1;
};

// A message that crossed a link.
struct Crossed {
    std::string from;
    std::string to;
    Json head;
    std::string body;
};

class Tree {
  public:
    Tree();
    ~Tree();
    // A center, named "center" in the realm "clinics".
    Node& top(const std::string& name = "center", Config config = {});
    // Enrolled below `parent` and linked to it.
    Node& below(Node& parent, const std::string& name, Config config = {});
    // upper / center / tokyo …: `depth` tiers in a row; the first is the top.
    std::vector<Node*> chain(std::size_t depth, const Config& config = {});

    // The steps of below(), one by one.
    std::string invite(Node& parent, const std::string& name);
    static std::string request_of(const std::string& invitation, const std::string& keys_folder,
                                  Random& random);
    static PageSeen enrol(Node& parent, const std::string& request);
    Node& make_node(Node& parent, const std::string& invitation, const std::string& folder,
                    const std::string& answer, Config config = {});

    // Verbs of operators.
    void add_user(Node& home, const std::string& user, const std::string& password,
                  const std::vector<std::string>& apps = {});
    // Writes a folder and adds it; `size` bytes of noise make its pack large. The release's id.
    std::string add_app(Node& at, const std::string& app, const std::vector<std::string>& to,
                        const Json& more = Json::object(), std::size_t noise_bytes = 0);

    // Opens the control stream if the parent's front knows the child's key. False: refused.
    bool link(Node& child);
    void cut(Node& child);
    bool linked(const Node& child) const;
    // Messages of this type stay on the wire, and the link is cut when one comes by.
    void cut_at(const std::string& type, int after) { cut_at_ = {type, after}; }
    // Sends bytes as if the child's keeper had.
    void forge(Node& child, const Json& head, const std::string& body = {});
    // As forge(), of something that a tier may say: it is held against the examples.
    void say(Node& child, const Json& head, const std::string& body = {});
    void forge_text(Node& child, const std::string& head, const std::string& body = {});
    // The same in the other direction: as if the parent's keeper had.
    void whisper(Node& child, const Json& head, const std::string& body = {});

    void restart(Node& node);
    // Every machine starts again: the boot clock from its beginning, in another boot. Links that
    // were up come up again.
    void power_cut();
    void post(std::function<void()> event) { events_.push_back(std::move(event)); }
    // Until nothing is left to do.
    void settle();
    // Moves the clock in steps of a second, with ticks.
    void pass_s(std::int64_t seconds, std::int64_t step_s = 1);
    std::string folder(const std::string& name) const { return dir_ + "/" + name; }

    // Questions for contents that are to come are lost on their way, with nothing else.
    bool drops_contents = false;
    std::string drops; // the same of questions of this type
    std::vector<Crossed> crossed;
    std::size_t count(const std::string& type) const;

    ManualClock clock;
    SeededRandom random{42};
    Log log;

  private:
    friend class Node;
    struct Wire {
        Node* child;
        Node* parent;
        std::int64_t child_link;
        std::int64_t parent_link;
        ipc::FrameDecoder up{false};
        ipc::FrameDecoder down{false};
        Conversation conversation{};
    };
    void carry(Node& from, std::int64_t link, const std::string& bytes);
    void cut_neighbour(Node& from, const std::string& neighbour);
    void drop(const Wire& wire);
    void give(Node& node, const Json& head, const std::string& body = {});
    Node* parent_of(const Node& child) const;

    std::string dir_;
    std::vector<std::unique_ptr<Node>> nodes_;
    std::vector<std::unique_ptr<Wire>> wires_;
    std::map<const Node*, Node*> parents_;
    std::deque<std::function<void()>> events_;
    std::int64_t next_link_ = 1;
    int boots_ = 1;
    std::pair<std::string, int> cut_at_;
};

} // namespace hasp::maint::tests
