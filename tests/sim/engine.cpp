#include "engine.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace hasp::sim {

void Engine::at(std::int64_t when_us, std::function<void()> event) {
    queue_.emplace(std::max(when_us, now_us_), std::move(event));
}

void Engine::run_until(std::int64_t when_us) {
    while (!stopped_ && !queue_.empty() && queue_.begin()->first <= when_us) {
        if (++events_ > events_max) {
            std::fprintf(stderr, "the simulation never comes to an end\n");
            std::abort();
        }
        auto next = queue_.extract(queue_.begin());
        now_us_ = next.key();
        next.mapped()();
    }
    if (!stopped_) {
        now_us_ = std::max(now_us_, when_us);
    }
}

void Engine::note(std::string_view who, std::string_view what) {
    char time[32];
    std::snprintf(time, sizeof time, "%14.6f ", static_cast<double>(now_us_ - begin_us) / 1e6);
    std::string line = time;
    line.append(who).append(": ").append(what);
    for (const char c : line) {
        hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 1099511628211ULL; // FNV-1a
    }
    if (print_) {
        std::fprintf(stderr, "%s\n", line.c_str());
    }
    if (kept_.size() < lines_kept_max) {
        kept_.push_back(std::move(line));
    } else {
        kept_[lines_ % lines_kept_max] = std::move(line);
    }
    ++lines_;
}

std::vector<std::string> Engine::last_lines() const {
    std::vector<std::string> out(kept_);
    if (lines_ > lines_kept_max) {
        std::rotate(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(lines_ % lines_kept_max),
                    out.end());
    }
    return out;
}

} // namespace hasp::sim
