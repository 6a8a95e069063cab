// Threads for what blocks. Work is taken in order; what is to follow it is handed back to the
// thread that owns the pool.
#pragma once

#include "base/fd.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace hasp::cmd {

class WorkerPool {
  public:
    explicit WorkerPool(std::size_t threads);
    // Waits for work that has begun; drops the rest.
    ~WorkerPool();
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    // Owner's thread. Runs `work` on a worker, then `done` in a later run_done().
    void run(std::function<void()> work, std::function<void()> done);
    // Readable when run_done() has something.
    int fd() const { return wake_.get(); }
    // Owner's thread.
    void run_done();

  private:
    struct Job {
        std::function<void()> work;
        std::function<void()> done;
    };
    void loop();

    Fd wake_;
    std::mutex mutex_;
    std::condition_variable there_is_work_;
    std::deque<Job> waiting_;
    std::deque<Job> finished_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

} // namespace hasp::cmd
