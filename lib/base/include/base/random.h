// Randomness is passed in, so that a simulation can run from a seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

namespace hasp {

class Random {
  public:
    virtual ~Random() = default;
    // Fills `size` bytes. Never fails (the system's source aborts the process when the kernel
    // refuses).
    virtual void fill(void* out, std::size_t size) = 0;

    std::string bytes(std::size_t size);
    std::uint64_t u64();
    // Uniform in [0, bound); bound > 0.
    std::uint64_t below(std::uint64_t bound);
};

// getrandom(2). Any thread. The only source for keys and secrets.
class SystemRandom final : public Random {
  public:
    void fill(void* out, std::size_t size) override;
};

// Reproducible; for tests and simulations only.
class SeededRandom final : public Random {
  public:
    explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
    void fill(void* out, std::size_t size) override;

  private:
    std::mt19937_64 engine_;
};

} // namespace hasp
