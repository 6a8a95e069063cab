#include "net/buffer.h"

#include <cassert>
#include <cstring>
#include <memory>

namespace hasp::net {

void Buffer::compact() {
    if (begin_ != 0) {
        std::memmove(data_, data_ + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
}

void Buffer::give_back() {
    if (data_ != nullptr) {
        pool_->take_back(data_);
        pool_ = nullptr;
        data_ = nullptr;
        begin_ = end_ = 0;
    }
}

BufferPool::~BufferPool() {
    assert(lent_ == 0);
    for (char* data : kept_) {
        std::allocator<char>{}.deallocate(data, Buffer::capacity);
    }
}

Buffer BufferPool::lend() {
    ++lent_;
    if (kept_.empty()) {
        return Buffer{this, std::allocator<char>{}.allocate(Buffer::capacity)};
    }
    char* const data = kept_.back();
    kept_.pop_back();
    return Buffer{this, data};
}

void BufferPool::take_back(char* data) {
    --lent_;
    if (kept_.size() < kept_max) {
        kept_.push_back(data);
    } else {
        std::allocator<char>{}.deallocate(data, Buffer::capacity);
    }
}

} // namespace hasp::net
