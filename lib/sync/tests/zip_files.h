// Zip archives as programs write them, and in ways that they do not.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>
#include <zlib.h>

namespace hasp::sync {

struct ZipHow {
    int level = 6; // 0: stored
    int memory = 8;
    int strategy = Z_DEFAULT_STRATEGY;
    bool descriptor = false; // sizes behind the member, as they are told who writes to a pipe
    unsigned flags = 0;      // more of them
    unsigned time = 0x5963;
};

struct ZipPart {
    std::string name;
    std::string plain;
    ZipHow how = {};
};

inline void put_little(std::string& out, std::uint64_t value, int bytes) {
    for (; bytes > 0; --bytes, value >>= 8) {
        out.push_back(static_cast<char>(value));
    }
}

inline std::string deflated(const std::string& plain, const ZipHow& how) {
    z_stream stream{};
    if (deflateInit2(&stream, how.level, Z_DEFLATED, -15, how.memory, how.strategy) != Z_OK) {
        std::abort();
    }
    std::string out(deflateBound(&stream, plain.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END) {
        std::abort();
    }
    out.resize(out.size() - stream.avail_out);
    deflateEnd(&stream);
    return out;
}

inline std::string zip_of(const std::vector<ZipPart>& parts, const std::string& comment = "") {
    std::string out;
    std::string directory;
    for (const ZipPart& part : parts) {
        const bool packs = part.how.level != 0;
        const std::string packed = packs ? deflated(part.plain, part.how) : part.plain;
        const auto crc = crc32(0, reinterpret_cast<const Bytef*>(part.plain.data()),
                               static_cast<uInt>(part.plain.size()));
        const std::size_t head = out.size();
        std::string same; // of both headers
        put_little(same, 20, 2);
        put_little(same, part.how.flags | (part.how.descriptor ? 8U : 0U), 2);
        put_little(same, packs ? 8 : 0, 2);
        put_little(same, part.how.time, 2);
        put_little(same, 0x5b7d, 2);
        std::string sizes;
        put_little(sizes, crc, 4);
        put_little(sizes, packed.size(), 4);
        put_little(sizes, part.plain.size(), 4);
        out += "PK\3\4" + same + (part.how.descriptor ? std::string(12, '\0') : sizes);
        put_little(out, part.name.size(), 2);
        put_little(out, 0, 2);
        out += part.name + packed;
        if (part.how.descriptor) {
            out += "PK\7\10" + sizes;
        }
        directory += "PK\1\2";
        put_little(directory, 20, 2);
        directory += same + sizes;
        put_little(directory, part.name.size(), 2);
        put_little(directory, 0, 12);
        put_little(directory, head, 4);
        directory += part.name;
    }
    const std::size_t from = out.size();
    out += directory + "PK\5\6";
    put_little(out, 0, 4);
    put_little(out, parts.size(), 2);
    put_little(out, parts.size(), 2);
    put_little(out, directory.size(), 4);
    put_little(out, from, 4);
    put_little(out, comment.size(), 2);
    return out + comment;
}

} // namespace hasp::sync
