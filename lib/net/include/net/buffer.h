// Buffers that are lent only while data is pending, so that an idle connection owns none.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace hasp::net {

class BufferPool;

// A lent buffer with a window of unread bytes: [consumed | readable() | space()]. Move-only; goes
// back to its pool on destruction. One thread. An empty (default) Buffer has neither bytes nor
// space.
class Buffer {
  public:
    static constexpr std::size_t capacity = 36 * 1024; // two TLS records and their overhead

    Buffer() = default;
    ~Buffer() { give_back(); }
    Buffer(Buffer&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), data_(std::exchange(other.data_, nullptr)),
          begin_(std::exchange(other.begin_, 0)), end_(std::exchange(other.end_, 0)) {}
    Buffer& operator=(Buffer&& other) noexcept {
        if (this != &other) {
            give_back();
            pool_ = std::exchange(other.pool_, nullptr);
            data_ = std::exchange(other.data_, nullptr);
            begin_ = std::exchange(other.begin_, 0);
            end_ = std::exchange(other.end_, 0);
        }
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    explicit operator bool() const { return data_ != nullptr; }
    char* data() { return data_ + begin_; }
    std::string_view readable() const { return {data_ + begin_, end_ - begin_}; }
    std::span<char> space() { return {data_ + end_, data_ == nullptr ? 0 : capacity - end_}; }
    std::size_t size() const { return end_ - begin_; }
    bool empty() const { return begin_ == end_; }

    // Precondition: bytes <= space().size().
    void commit(std::size_t bytes) { end_ += bytes; }
    // Precondition: bytes <= size(). When nothing is left, the window starts again at the front.
    void consume(std::size_t bytes) {
        begin_ += bytes;
        if (begin_ == end_) {
            begin_ = end_ = 0;
        }
    }
    // Moves the unread bytes to the front. Views into the buffer become invalid.
    void compact();
    void give_back();

  private:
    friend class BufferPool;
    Buffer(BufferPool* pool, char* data) : pool_(pool), data_(data) {}
    BufferPool* pool_ = nullptr;
    char* data_ = nullptr;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

// Per reactor. Keeps a few returned buffers (the last returned is lent first: it is warm in cache)
// and frees the rest. Outlives its buffers.
class BufferPool {
  public:
    static constexpr std::size_t kept_max = 64; // 2.3 MB

    BufferPool() = default;
    ~BufferPool();
    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;

    Buffer lend();
    std::size_t lent() const { return lent_; }

  private:
    friend class Buffer;
    void take_back(char* data);
    std::vector<char*> kept_;
    std::size_t lent_ = 0;
};

} // namespace hasp::net
