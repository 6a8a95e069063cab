#include "ipc/frame.h"

#include <algorithm>
#include <cstdint>

namespace hasp::ipc {
namespace {

constexpr std::uint32_t head_mask = 0x0fffffff;
constexpr unsigned fds_shift = 28;

void put_u32(std::string& out, std::uint32_t value) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
        out.push_back(static_cast<char>((value >> shift) & 0xffU));
    }
}

std::uint32_t get_u32(const char* p) {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) {
        value |= static_cast<std::uint32_t>(static_cast<unsigned char>(p[i])) << (8 * i);
    }
    return value;
}

} // namespace

Status encode_frame(std::string& out, std::string_view head, std::string_view body, std::size_t fds,
                    std::size_t limit_bytes) {
    const std::size_t limit = std::min(limit_bytes, frame_bytes_max);
    if (head.size() > limit || body.size() > limit ||
        frame_prefix_bytes + head.size() + body.size() > limit) {
        return fail(Code::usage,
                    "a frame of " + std::to_string(frame_prefix_bytes + head.size() + body.size()) +
                        " bytes exceeds the limit of " + std::to_string(limit) + " bytes");
    }
    if (fds > frame_fds_max) {
        return fail(Code::usage, "a frame can carry " + std::to_string(frame_fds_max) +
                                     " descriptors, not " + std::to_string(fds));
    }
    out.reserve(out.size() + frame_prefix_bytes + head.size() + body.size());
    put_u32(out, static_cast<std::uint32_t>(frame_prefix_bytes + head.size() + body.size()));
    put_u32(out, static_cast<std::uint32_t>(head.size()) |
                     (static_cast<std::uint32_t>(fds) << fds_shift));
    out.append(head);
    out.append(body);
    return {};
}

Status FrameDecoder::check_prefix() {
    total_ = get_u32(buffer_.data());
    const std::uint32_t word = get_u32(buffer_.data() + 4);
    head_ = word & head_mask;
    fds_ = word >> fds_shift;
    if (total_ < frame_prefix_bytes || total_ > std::min(limit_bytes_, frame_bytes_max)) {
        return fail(Code::refused, "the peer announced a frame of " + std::to_string(total_) +
                                       " bytes; the limit is " + std::to_string(limit_bytes_));
    }
    if (head_ > total_ - frame_prefix_bytes) {
        return fail(Code::refused,
                    "the peer announced a frame whose head is longer than the frame");
    }
    if (fds_ > (fds_allowed_ ? frame_fds_max : 0)) {
        return fail(Code::refused,
                    "the peer announced " + std::to_string(fds_) + " descriptors where " +
                        std::to_string(fds_allowed_ ? frame_fds_max : 0) + " are allowed");
    }
    return {};
}

Status FrameDecoder::feed(std::string_view bytes, const Sink& sink) {
    if (broken_) {
        return fail(Code::refused, "the stream of frames is broken already");
    }
    while (!bytes.empty()) {
        const std::size_t need = (total_ == 0 ? frame_prefix_bytes : total_) - buffer_.size();
        const std::size_t take = std::min(need, bytes.size());
        buffer_.append(bytes.substr(0, take));
        bytes.remove_prefix(take);
        if (take < need) {
            return {};
        }
        if (total_ == 0) {
            if (Status status = check_prefix(); !status) {
                broken_ = true;
                buffer_ = {};
                return status;
            }
            if (total_ > frame_prefix_bytes) {
                continue;
            }
        }
        Frame frame;
        frame.head.assign(buffer_, frame_prefix_bytes, head_);
        frame.body.assign(buffer_, frame_prefix_bytes + head_);
        // A large frame's memory is given back; a small one's is kept for the next.
        if (buffer_.capacity() > 64 * 1024) {
            buffer_ = {};
        }
        buffer_.clear();
        total_ = 0;
        if (!sink(std::move(frame), fds_)) {
            broken_ = true;
            return fail(Code::failed, "the receiver stopped reading frames");
        }
    }
    return {};
}

} // namespace hasp::ipc
