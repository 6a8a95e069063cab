// A clamd of a test's own: a UNIX socket, and what comes back is as the test says.
#pragma once

#include "base/fd.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace hasp::maint {

// Answers zINSTREAM and zVERSION, one connection at a time. What it is told to say is sent as it
// is: with its closing NUL, or without.
class FakeClamd {
  public:
    // Of a content: the bytes that come back, and then its side is closed.
    using Answer = std::function<std::string(const std::string& content)>;

    FakeClamd(std::string path, Answer answer) : path_(std::move(path)), answer_(answer) {
        ::unlink(path_.c_str());
        listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un at{};
        at.sun_family = AF_UNIX;
        path_.copy(at.sun_path, sizeof at.sun_path - 1);
        if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 ||
            ::listen(listener_.get(), 8) != 0) {
            ::abort();
        }
        thread_ = std::thread([this] { serve(); });
    }
    ~FakeClamd() {
        stopping_ = true;
        ::shutdown(listener_.get(), SHUT_RDWR);
        thread_.join();
        ::unlink(path_.c_str());
    }
    FakeClamd(const FakeClamd&) = delete;
    FakeClamd& operator=(const FakeClamd&) = delete;

    std::string address() const { return "unix:" + path_; }
    std::atomic<std::size_t> scans = 0;
    std::atomic<std::size_t> largest_chunk = 0;
    // It takes questions and says nothing, to that about its version either, until it is told.
    std::atomic<bool> silent = false;
    std::atomic<bool> silent_about_contents = false;
    // After so many bytes of a content it answers and hangs up, as where StreamMaxLength is less.
    std::atomic<std::size_t> bytes_max = SIZE_MAX;
    std::atomic<int> version = 1;

  private:
    void serve() {
        while (!stopping_) {
            const Fd one(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (one) {
                talk(one.get());
            }
        }
    }

    bool take(int fd, std::string& out, std::size_t bytes) {
        while (out.size() < bytes) {
            char piece[65536];
            pollfd poll{fd, POLLIN, 0};
            while (::poll(&poll, 1, 50) == 0) {
                if (stopping_) {
                    return false;
                }
            }
            const ssize_t got = ::recv(fd, piece, std::min(sizeof piece, bytes - out.size()), 0);
            if (got <= 0) {
                return false;
            }
            out.append(piece, static_cast<std::size_t>(got));
        }
        return true;
    }

    void talk(int fd) {
        std::string question;
        while (question.empty() || question.back() != '\0') {
            if (!take(fd, question, question.size() + 1)) {
                return;
            }
        }
        if (question == std::string("zVERSION\0", 9)) {
            say(fd, "ClamAV 1.0.0/" + std::to_string(version) + "/now" + std::string(1, '\0'),
                silent);
            return;
        }
        std::string content;
        for (;;) {
            std::string head;
            if (!take(fd, head, 4)) {
                return;
            }
            std::size_t length = 0;
            for (const char c : head) {
                length = length << 8U | static_cast<unsigned char>(c);
            }
            largest_chunk = std::max(largest_chunk.load(), length);
            if (length == 0) {
                break;
            }
            if (!take(fd, content, content.size() + length)) {
                return;
            }
            if (content.size() > bytes_max) {
                say(fd, std::string("INSTREAM size limit exceeded. ERROR\0", 36), false);
                return;
            }
        }
        ++scans;
        say(fd, answer_(content), silent || silent_about_contents);
    }

    // Who is silent holds the line until the other side gives up.
    void say(int fd, const std::string& bytes, bool silently) {
        if (silently) {
            std::string nothing;
            take(fd, nothing, 1);
            return;
        }
        [[maybe_unused]] const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }

    std::string path_;
    Answer answer_;
    Fd listener_;
    std::atomic<bool> stopping_ = false;
    std::thread thread_;
};

} // namespace hasp::maint
