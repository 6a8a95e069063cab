#include "sync/batch.h"

#include "numbers.h"
#include "sync/chunks.h"

#include <algorithm>
#include <string>

namespace hasp::sync {

namespace {

constexpr std::size_t flush_bytes = std::size_t{32} * 1024;

} // namespace

BatchWriter::BatchWriter(const BatchHead& head, Sink out)
    : compressor_(std::move(out)), format_(head.format) {
    pending_ = "HSF" + std::to_string(head.format);
    pending_.push_back(static_cast<char>(head.direction));
    put_number(pending_, head.epoch);
    put_number(pending_, head.number);
    if (head.direction == Direction::down && head.format >= batch_format_parts) {
        put_number(pending_, head.next.number);
        if (head.next.number != 0) {
            put_text(pending_, head.next.place);
        }
    }
}

BatchWriter::~BatchWriter() = default;

Status BatchWriter::add(const Record& record) {
    const bool chunked = named_by_chunks(record.entry.hash);
    if (format_ < batch_format_chunked && (chunked || named_by_chunks(record.basis))) {
        return fail(Code::failed, "a batch would name the content of " + record.path +
                                      " in a way that its reader does not know");
    }
    if (format_ < batch_format_members && record.codec == Codec::members) {
        return fail(Code::failed, "a batch would bring the content of " + record.path +
                                      " in a way that its reader does not know");
    }
    if (format_ < batch_format_later && record.codec == Codec::later) {
        return fail(Code::failed, "a batch would bring " + record.path +
                                      " without its content to a reader that knows no such file");
    }
    if (format_ < batch_format_attributes && record.type == Record::Type::attributes) {
        return fail(Code::failed, "a batch would say attributes to a reader that knows none");
    }
    if (format_ < batch_format_moved && record.type == Record::Type::moved) {
        return fail(Code::failed, "a batch would move folders for a reader that moves none");
    }
    if (record.type == Record::Type::verdict && format_ >= batch_format_moved &&
        record.copy.empty()) {
        if (run_length_ == 0 || record.index != run_.index + run_length_ ||
            record.verdict != run_.verdict || record.revision != run_.revision) {
            end_run();
            run_ = record;
        }
        ++run_length_;
        return {};
    }
    end_run();
    ++records_;
    pending_.push_back(static_cast<char>(record.type));
    switch (record.type) {
    case Record::Type::put:
        put_text(pending_, record.path);
        put_number(pending_, record.entry.revision);
        pending_.push_back(chunked ? kind_file_by_chunks : static_cast<char>(record.entry.kind));
        put_number(pending_, record.entry.mode);
        put_number(pending_, zigzag(record.entry.mtime_us));
        put_number(pending_, record.entry.size);
        if (record.entry.kind == FileKind::file) {
            pending_.append(record.entry.hash, chunked ? 1 : 0, hash_bytes);
        } else if (record.entry.kind == FileKind::symlink) {
            put_text(pending_, record.entry.target);
        }
        if (format_ >= batch_format_attributes && record.entry.kind != FileKind::symlink) {
            put_text(pending_, record.entry.attributes);
        }
        pending_.push_back(static_cast<char>(record.codec));
        if (record.codec == Codec::delta && format_ < batch_format_chunked) {
            pending_.append(record.basis);
        } else if (is_difference(record.codec)) {
            put_text(pending_, record.basis);
        }
        break;
    case Record::Type::remove:
        put_text(pending_, record.path);
        put_number(pending_, record.revision);
        break;
    case Record::Type::verdict:
        put_number(pending_, record.index);
        pending_.push_back(static_cast<char>(record.verdict));
        put_number(pending_, record.revision);
        put_text(pending_, record.copy);
        break;
    case Record::Type::attributes:
        put_text(pending_, record.path);
        pending_.push_back(static_cast<char>(record.entry.kind));
        put_text(pending_, record.entry.attributes);
        break;
    case Record::Type::verdicts:
        return fail(Code::failed, "verdicts are added one by one");
    case Record::Type::moved:
        put_text(pending_, record.path);
        put_text(pending_, record.to);
        put_number(pending_, record.count);
        pending_.append(record.sum);
        break;
    }
    if (pending_.size() < flush_bytes) {
        return {};
    }
    Status written = compressor_.write(pending_);
    pending_.clear();
    return written;
}

void BatchWriter::end_run() {
    if (run_length_ == 0) {
        return;
    }
    ++records_;
    const bool alone = run_length_ == 1;
    pending_.push_back(static_cast<char>(alone ? Record::Type::verdict : Record::Type::verdicts));
    put_number(pending_, run_.index);
    if (!alone) {
        put_number(pending_, run_length_);
    }
    pending_.push_back(static_cast<char>(run_.verdict));
    put_number(pending_, run_.revision);
    if (alone) {
        put_text(pending_, run_.copy);
    }
    run_length_ = 0;
}

Status BatchWriter::content(std::string_view bytes) {
    while (!bytes.empty()) {
        const std::string_view frame = bytes.substr(0, batch_frame_bytes_max);
        put_number(pending_, frame.size());
        pending_.append(frame);
        bytes.remove_prefix(frame.size());
        if (Status written = compressor_.write(pending_); !written) {
            return written;
        }
        pending_.clear();
    }
    return {};
}

Status BatchWriter::end_content() {
    pending_.push_back('\0');
    return {};
}

Status BatchWriter::finish() {
    end_run();
    pending_.push_back('\0');
    put_number(pending_, records_);
    if (Status written = compressor_.write(pending_); !written) {
        return written;
    }
    pending_.clear();
    return compressor_.finish();
}

} // namespace hasp::sync
