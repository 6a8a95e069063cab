// Pipes for bytes that go from one plain socket to another and are looked at by nobody: splice(2)
// moves their pages, which spares the copies into this process and out of it.
#pragma once

#include "base/fd.h"

#include <cstddef>
#include <utility>
#include <vector>

namespace hasp::net {

class PipePool;

// A lent pipe and what is in it. Move-only; goes back to its pool on destruction, and is closed
// instead when something is left in it. One thread. An empty (default) Pipe is none.
class Pipe {
  public:
    Pipe() = default;
    ~Pipe() { give_back(); }
    Pipe(Pipe&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), out_(std::move(other.out_)),
          in_(std::move(other.in_)), held_(std::exchange(other.held_, 0)) {}
    Pipe& operator=(Pipe&& other) noexcept {
        if (this != &other) {
            give_back();
            pool_ = std::exchange(other.pool_, nullptr);
            out_ = std::move(other.out_);
            in_ = std::move(other.in_);
            held_ = std::exchange(other.held_, 0);
        }
        return *this;
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;

    explicit operator bool() const { return pool_ != nullptr; }
    std::size_t held() const { return held_; }
    void give_back();

  private:
    friend class PipePool;
    friend class Conn;
    Pipe(PipePool* pool, Fd out, Fd in) : pool_(pool), out_(std::move(out)), in_(std::move(in)) {}

    PipePool* pool_ = nullptr;
    Fd out_; // to read from
    Fd in_;  // to write to
    std::size_t held_ = 0;
};

// Per reactor. Outlives its pipes.
class PipePool {
  public:
    // Asked of the kernel for each pipe, which may give less.
    static constexpr std::size_t pipe_bytes = std::size_t{256} * 1024;
    static constexpr std::size_t kept_max = 8;
    // Each is two descriptors, and holds pages of the kernel while its sink does not read.
    static constexpr std::size_t lent_max = 128;

    PipePool() = default;
    ~PipePool();
    PipePool(const PipePool&) = delete;
    PipePool& operator=(const PipePool&) = delete;

    // None when so many are lent, or no descriptor is left: copy then.
    Pipe lend();
    std::size_t lent() const { return lent_; }

  private:
    friend class Pipe;
    struct Ends {
        Fd out;
        Fd in;
    };
    void take_back(Fd out, Fd in, bool empty);
    std::vector<Ends> kept_;
    std::size_t lent_ = 0;
};

} // namespace hasp::net
