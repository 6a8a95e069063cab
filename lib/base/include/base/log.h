// Log lines to one descriptor: text for people, JSON lines for machines. Any thread; one write(2) a
// line.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace hasp {

class Clock;

enum class Level : unsigned char { debug, info, warn, error };

struct Field {
    std::string_view key;
    std::string value;
};

class Log {
  public:
    // The descriptor is not owned; `process` ("front", "keeper", …) stands in every line.
    Log(int fd, const Clock& clock, std::string process, bool json, Level least = Level::info)
        : fd_(fd), clock_(clock), process_(std::move(process)), json_(json), least_(least) {}

    // `event` is a stable, short name ("link.up"), `text` a sentence for people. Fields come after
    // it.
    void write(Level level, std::string_view event, std::string_view text,
               std::initializer_list<Field> fields = {}) const;

    void debug(std::string_view event, std::string_view text,
               std::initializer_list<Field> f = {}) const {
        write(Level::debug, event, text, f);
    }
    void info(std::string_view event, std::string_view text,
              std::initializer_list<Field> f = {}) const {
        write(Level::info, event, text, f);
    }
    void warn(std::string_view event, std::string_view text,
              std::initializer_list<Field> f = {}) const {
        write(Level::warn, event, text, f);
    }
    void error(std::string_view event, std::string_view text,
               std::initializer_list<Field> f = {}) const {
        write(Level::error, event, text, f);
    }

  private:
    int fd_;
    const Clock& clock_;
    std::string process_;
    bool json_;
    Level least_;
};

// `text` as the inside of a JSON string: control characters, quotes and backslashes escaped,
// invalid UTF-8 replaced by U+FFFD.
std::string json_escape(std::string_view text);

} // namespace hasp
