#include "cases.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

namespace hasp::hostile {
namespace {

class Reader {
  public:
    explicit Reader(const char* path) : in_(path) {
        if (!in_) {
            throw std::runtime_error(std::string("no file ") + path);
        }
    }

    std::vector<Case> all() {
        while (std::getline(in_, text_)) {
            ++line_;
            if (!text_.empty() && text_.front() != ';') {
                take();
            }
        }
        return std::move(cases_);
    }

  private:
    void must(bool holds, const char* why) const {
        if (!holds) {
            throw std::runtime_error("cases.txt:" + std::to_string(line_) + ": " + why);
        }
    }

    std::string rest(std::size_t from) const {
        return text_.size() > from ? text_.substr(from) : std::string();
    }

    void take() {
        if (text_.starts_with("== ")) {
            side_ = rest(3) == "request"  ? Side::request
                    : rest(3) == "answer" ? Side::answer
                                          : Side::http2;
            return;
        }
        if (text_.starts_with("define ")) {
            macro_ = &macros_[rest(7)];
            return;
        }
        if (text_.starts_with("# ")) {
            begin_case();
            return;
        }
        if (macro_ != nullptr) {
            must(text_.front() == '>', "a macro is made of \">\" lines");
            *macro_ += side_ == Side::http2 ? rest(2) + "\n" : bytes_of(rest(2)) + "\r\n";
            return;
        }
        must(!cases_.empty(), "no case yet");
        take_line(cases_.back());
    }

    void begin_case() {
        macro_ = nullptr;
        const std::size_t bar = text_.find(" | ");
        must(bar != std::string::npos, "a case begins with \"# RFC | NAME\"");
        Case one;
        one.side = side_;
        one.line = line_;
        one.rfc = text_.substr(2, bar - 2);
        one.name = text_.substr(bar + 3);
        cases_.push_back(std::move(one));
    }

    void take_line(Case& one) {
        const std::string kind = text_.substr(0, text_.find(' '));
        if (kind == "+") {
            must(macros_.contains(rest(2)), "an unknown macro");
            if (one.side == Side::http2) {
                std::istringstream lines(macros_[rest(2)]);
                for (std::string field; std::getline(lines, field);) {
                    add_field(one, field);
                }
            } else {
                one.bytes += macros_[rest(2)];
            }
        } else if (kind == ">") {
            if (one.side == Side::http2) {
                add_field(one, rest(2));
            } else {
                one.bytes += bytes_of(rest(2)) + "\r\n";
            }
        } else if (kind == "-") {
            (one.side == Side::http2 ? one.body : one.bytes) += bytes_of(rest(2));
        } else if (kind == "to") {
            one.asked = rest(3);
        } else if (kind == "closes") {
            one.closes = true;
        } else if (kind == "=") {
            std::istringstream words(rest(2));
            for (std::string word; words >> word;) {
                one.words.push_back(word);
            }
        } else if (kind == "<") {
            if (one.passed.empty()) {
                next_passed(one);
            }
            one.passed.back() += rest(2) + "\n";
        } else if (kind == "<-") {
            must(!one.contents.empty(), "contents without a head");
            one.contents.back() += bytes_of(rest(3));
        } else if (kind == "<<") {
            next_passed(one);
        } else {
            must(false, "a line of no kind that there is");
        }
    }

    static void next_passed(Case& one) {
        one.passed.emplace_back();
        one.contents.emplace_back();
    }

    void add_field(Case& one, const std::string& text) {
        const std::size_t colon = text.find(':', 1);
        must(colon != std::string::npos, "no colon behind the field's name");
        const std::size_t value = text.compare(colon, 2, ": ") == 0 ? colon + 2 : colon + 1;
        one.fields.emplace_back(bytes_of(text.substr(0, colon)),
                                bytes_of(std::min(value, text.size()) == text.size()
                                             ? std::string()
                                             : text.substr(value)));
    }

    std::string bytes_of(const std::string& text) const {
        std::string out;
        for (std::size_t i = 0; i < text.size();) {
            if (text[i] != '\\') {
                out += text[i++];
                continue;
            }
            must(i + 1 < text.size(), "a backslash at the end");
            const char c = text[i + 1];
            i += 2;
            if (c == 'x') {
                out += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
                i += 2;
            } else if (c == '{') { // \{N*TEXT}
                const std::size_t star = text.find('*', i);
                const std::size_t end = text.find("}", star);
                must(end != std::string::npos, "\\{N*TEXT without }");
                const std::string piece = bytes_of(text.substr(star + 1, end - star - 1));
                for (int n = std::stoi(text.substr(i, star - i)); n > 0; --n) {
                    out += piece;
                }
                i = end + 1;
            } else {
                const std::string_view letters = "rnt0s\\";
                const std::size_t at = letters.find(c);
                must(at != std::string_view::npos, "an unknown escape");
                out += std::string_view("\r\n\t\0 \\", 6)[at];
            }
        }
        return out;
    }

    std::ifstream in_;
    std::string text_;
    int line_ = 0;
    Side side_ = Side::request;
    std::map<std::string, std::string> macros_;
    std::string* macro_ = nullptr;
    std::vector<Case> cases_;
};

} // namespace

std::string Case::told() const {
    return "cases.txt:" + std::to_string(line) + ": RFC " + rfc + ": " + name;
}

bool Case::has(std::string_view word) const {
    return std::find(words.begin(), words.end(), word) != words.end();
}

std::vector<int> Case::statuses() const {
    std::vector<int> out;
    for (const std::string& word : words) {
        if (word.front() >= '1' && word.front() <= '9') {
            out.push_back(std::stoi(word));
        }
    }
    return out;
}

const std::vector<Case>& cases() {
    static const std::vector<Case> all = Reader(HASP_HOSTILE_CASES).all();
    return all;
}

std::string shown(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    constexpr std::size_t run_min = 40;
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const char c = bytes[i];
        const auto byte = static_cast<unsigned char>(c);
        const std::size_t run = std::min(bytes.find_first_not_of(c, i), bytes.size()) - i;
        if (run >= run_min && byte > 0x20 && byte < 0x7f) {
            out.append("\\{").append(std::to_string(run)).append("*").append(1, c).append("}");
            i += run - 1;
        } else if (c == '\\') {
            out += "\\\\";
        } else if (c == '\r') {
            out += "\\r";
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\t') {
            out += "\\t";
        } else if (byte < 0x20 || byte >= 0x7f) {
            out.append("\\x").append(1, digits[byte >> 4U]).append(1, digits[byte & 15U]);
        } else {
            out += c;
        }
    }
    return out;
}

} // namespace hasp::hostile
