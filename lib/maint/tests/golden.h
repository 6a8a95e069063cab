// The examples of PROTOCOL.md, read from the file itself. A fenced block with the word `messages`
// holds one message a line:
//
//   ↑ {"at_us":1000000,"t":"ping"}           from a child to its parent; ↓ the other way
//   = 22 00 00 00 …                          the whole frame of the line above, in hex
//   ↑ {"q":1,"t":"lease.section", …} + body  a question; whose number is any
//   → {"q":1,"t":"re"} + body                and its answer
//
// A value "…" stands for any value, at the end of a list of more than one for any more of them.
// Nothing here knows what the messages mean: a new family of messages adds lines to PROTOCOL.md,
// and one conversation to protocol_test.cpp that makes the tiers say them.
#pragma once

#include "json_tools.h"

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace hasp::maint::tests {

struct Example {
    int line = 0; // in PROTOCOL.md
    bool up = false;
    bool answer = false;
    std::string type; // of an answer: that of its question
    std::string text; // as it stands
    Json head;
    bool body = false;
    std::string frame; // bytes; empty: not given
};

// A message that crossed a link, as examples are compared with it.
struct Said {
    bool up = false;
    bool answer = false;
    std::string type;
    const Json* head = nullptr; // the message's own
    bool body = false;
};

class Golden {
  public:
    // Fails the running test where the file cannot be read as above.
    static Golden read(const std::string& path);
    // Of lib/maint/PROTOCOL.md; read once.
    static const Golden& of_maint();

    const std::vector<Example>& examples() const { return examples_; }
    // Empty, or why the message is not one of those that the file shows: no example of its type in
    // this direction, or a field that none of them has, or has with another kind of value.
    std::string unknown(const Said& said) const;
    // Every value of the example's that is not "…" is the message's, and the fields are the same.
    static bool matches(const Example& example, const Said& said);
    // The line that would show it.
    static std::string line_of(const Said& said);

  private:
    using Kind = std::tuple<bool, bool, std::string>; // up, answer, type
    // By kind, the fields that its examples have, each with its values.
    std::map<Kind, std::map<std::string, std::vector<Json>>> fields_;
    std::vector<Example> examples_;
};

// Puts questions and answers of one link together.
class Conversation {
  public:
    Said hear(bool up, const Json& head, bool body);

  private:
    std::map<std::pair<bool, std::int64_t>, std::string> asked_; // by who asked
};

} // namespace hasp::maint::tests
