// Conversations with neighbours over their control streams: frames in and out, questions with
// answers and time limits, heartbeat. Knows nothing of what is said. One thread.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "ipc/frame.h"
#include "json_tools.h"
#include "levels.h"
#include "maint/keeper_ports.h"
#include "trust/name.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace hasp::maint {

// The parent is the neighbour "", a child the neighbour by its name (last element).
inline constexpr const char* to_parent = "";
inline constexpr std::int64_t question_limit_us = 15'000'000;
inline constexpr std::size_t questions_max = 10'000; // waiting at a time, of all neighbours
inline constexpr int protocol_version = 1;
// A link over which nothing but heartbeats and reports has gone for this many is quiet, and has one
// in this many then. Whoever uses it makes it lively again.
inline constexpr int heartbeats_quiet = 8;
// A neighbour that has answered none of this many heartbeats when the next is due is cut off.
inline constexpr int heartbeats_missed_max = 2;

struct Message {
    Json head;
    std::string body;
};

class Links {
  public:
    using Reply = std::function<void(Result<Message>)>;
    // Answers a question once, now or later; an answer to a mere statement goes nowhere.
    using Answer = std::function<void(Result<Message>)>;
    using Handler = std::function<void(const std::string& neighbour, const Message& message,
                                       const Answer& answer)>;
    // A neighbour has said hello (true), or is gone (false).
    using OnChange = std::function<void(const std::string& neighbour, bool connected)>;

    // `version`: of this hasp, for the neighbours' operators to see. `whole_levels`: see
    // KeeperOptions.
    Links(KeeperPorts& ports, const Clock& clock, const Log& log, trust::TierName me,
          std::string version, std::int64_t heartbeat_s, bool whole_levels);

    void on(const std::string& type, Handler handler) { handlers_[type] = std::move(handler); }
    void on_change(OnChange callback) { on_change_ = std::move(callback); }

    // What neighbours are told that the time is; 0: they learn none from us. Without this, the
    // clock's.
    void on_own_time(std::function<std::int64_t()> ask) { own_time_ = std::move(ask); }
    // When this tier was restored from a backup, for those below to hear; 0: never.
    void restored(std::int64_t at_us) { restored_us_ = at_us; }
    // The parent was. Called at each hello that says so, before on_change.
    void on_parent_restored(std::function<void(std::int64_t at_us)> callback) {
        on_parent_restored_ = std::move(callback);
    }
    // The parent's clock, as it was at most one round trip ago. Called at hello and at every
    // heartbeat.
    void on_parent_time(std::function<void(std::int64_t wall_us)> callback) {
        on_parent_time_ = std::move(callback);
    }

    // Every frame, by the type of its message; an answer counts to its question's.
    using OnBytes = std::function<void(const std::string& neighbour, const std::string& type,
                                       std::size_t in, std::size_t out)>;
    void on_bytes(OnBytes callback) { on_bytes_ = std::move(callback); }

    // From front: a control stream of a verified neighbour.
    void opened(LinkId id, const std::string& neighbour);
    void arrived(LinkId id, std::string_view bytes);
    void closed(LinkId id, const std::string& reason);
    void all_closed(const std::string& reason);

    const trust::TierName& me() const { return me_; }
    bool connected(const std::string& neighbour) const;
    // Of the conversation with it; 0: there is none.
    LinkId link_of(const std::string& neighbour) const;
    // Boot time at which a byte came from it last, also over a link that is gone; 0: never in this
    // run.
    std::int64_t heard_us(const std::string& neighbour) const;
    // Milliseconds of the last heartbeat, -1 before the first.
    std::int64_t rtt_ms(const std::string& neighbour) const;
    // Whether a linked neighbour has this one, and we too.
    bool has_feature(const std::string& neighbour, const std::string& feature) const;
    // How the neighbour's hasp differs from ours; empty while it is not linked.
    struct Skew {
        std::string version;              // of its hasp; empty: it did not say
        std::vector<std::string> lacks;   // features that we have and it has not
        std::vector<std::string> unknown; // features that it has and we have not
    };
    Skew skew(const std::string& neighbour) const;

    // `reply` is called exactly once: with the answer, or unreachable, timed_out, or the
    // neighbour's own error.
    void ask(const std::string& neighbour, Json head, std::string body, Reply reply);
    // Dropped when there is no link.
    void tell(const std::string& neighbour, Json head, std::string body = {});
    // Ends the conversation and asks front to cut everything of that neighbour.
    void cut(const std::string& neighbour, const std::string& reason);

    void tick();

  private:
    struct Link {
        LinkId id = 0;
        std::string neighbour;
        ipc::FrameDecoder decoder{false};
        bool hello = false;
        std::int64_t heard_us = 0; // boot clock, as the next two
        std::int64_t pinged_us = 0;
        std::int64_t used_us = 0; // said or heard something else than a heartbeat or a report
        int missed = 0;           // heartbeats sent since anything was heard
        std::int64_t rtt_ms = -1;
        std::string version;
        std::vector<std::string> features;
        Levels said;
        Levels heard;
    };
    struct Question {
        LinkId link = 0;
        std::int64_t until_us = 0;
        std::string type;
        Reply reply;
    };
    Link* find(const std::string& neighbour);
    const Link* find(const std::string& neighbour) const;
    // `answers`: the type of the question that this is the answer to.
    void send(Link& link, const Json& head, std::string_view body, const std::string& answers = {});
    void send_level(Link& link, const std::string& type, const Json& head, std::string_view body);
    void send_text(Link& link, std::string_view head, std::string_view body,
                   const std::string& counts_as);
    bool has(const Link& link, const std::string& feature) const;
    // Every message: to whoever counts bytes, and as use of the link.
    void count(Link& link, const std::string& type, std::size_t in, std::size_t out);
    void take(LinkId id, ipc::Frame&& frame);
    void hear_time(const std::string& neighbour, const Json& head);
    void take_hello(Link& link, const Json& head);
    void drop(LinkId id, const Error& why);
    // When the next heartbeat is due, boot clock.
    std::int64_t due_us(const Link& link, std::int64_t now) const;
    void ping(Link& link);
    void give_up_questions(std::int64_t now);

    KeeperPorts& ports_;
    const Clock& clock_;
    const Log& log_;
    trust::TierName me_;
    std::string version_;
    std::int64_t heartbeat_us_;
    std::vector<std::string> features_; // of ours
    std::map<LinkId, Link> links_;
    std::map<std::string, std::int64_t> heard_us_; // of neighbours whose link is gone
    std::map<std::uint64_t, Question> questions_;
    std::uint64_t next_question_ = 1;
    std::map<std::string, Handler> handlers_;
    OnChange on_change_;
    OnBytes on_bytes_;
    std::function<void(std::int64_t)> on_parent_time_;
    std::function<void(std::int64_t)> on_parent_restored_;
    std::int64_t restored_us_ = 0;
    std::function<std::int64_t()> own_time_ = [this] { return clock_.wall_us(); };
};

} // namespace hasp::maint
