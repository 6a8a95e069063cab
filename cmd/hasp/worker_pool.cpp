#include "worker_pool.h"

#include <cstdint>
#include <sys/eventfd.h>
#include <unistd.h>

namespace hasp::cmd {

WorkerPool::WorkerPool(std::size_t threads) : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    for (std::size_t i = 0; i < threads; ++i) {
        threads_.emplace_back([this] { loop(); });
    }
}

WorkerPool::~WorkerPool() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        waiting_.clear();
    }
    there_is_work_.notify_all();
    for (std::thread& thread : threads_) {
        thread.join();
    }
}

void WorkerPool::run(std::function<void()> work, std::function<void()> done) {
    {
        const std::lock_guard lock(mutex_);
        waiting_.push_back({std::move(work), std::move(done)});
    }
    there_is_work_.notify_one();
}

void WorkerPool::loop() {
    for (;;) {
        Job job;
        {
            std::unique_lock lock(mutex_);
            there_is_work_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
            if (stopping_) {
                return;
            }
            job = std::move(waiting_.front());
            waiting_.pop_front();
        }
        job.work();
        {
            const std::lock_guard lock(mutex_);
            finished_.push_back(std::move(job));
        }
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
    }
}

void WorkerPool::run_done() {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t n = ::read(wake_.get(), &count, sizeof count);
    std::deque<Job> finished;
    {
        const std::lock_guard lock(mutex_);
        finished.swap(finished_);
    }
    for (const Job& job : finished) {
        job.done();
    }
}

} // namespace hasp::cmd
