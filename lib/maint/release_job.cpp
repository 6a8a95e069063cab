#include "release_job.h"

#include "base/text.h"

#include <algorithm>

namespace hasp::maint {

std::string encode_job(const ImportJob& job) {
    std::string out;
    for (const std::string* part : {&job.pack, &job.stage, &job.repo}) {
        out += *part + '\0';
    }
    return out + encode_release(job.expected);
}

Result<ImportJob> decode_job(std::string_view text) {
    ImportJob job;
    for (std::string* part : {&job.pack, &job.stage, &job.repo}) {
        const std::size_t end = text.find('\0');
        if (end == std::string_view::npos) {
            return fail(Code::usage, "the import job is malformed",
                        "this command is started by hasp itself");
        }
        *part = text.substr(0, end);
        text.remove_prefix(end + 1);
    }
    Result<Release> expected = decode_release(text);
    if (!expected.ok()) {
        return expected.error();
    }
    job.expected = std::move(*expected);
    return job;
}

std::string encode_report(const Status& status) {
    if (status.ok()) {
        return "ok\n";
    }
    std::string message = status.error().message;
    std::replace(message.begin(), message.end(), '\n', ' ');
    return std::string(code_name(status.error().code)) + "\n" + message + "\n" +
           status.error().hint + "\n";
}

Status decode_report(std::string_view text) {
    if (text == "ok\n") {
        return {};
    }
    const std::vector<std::string_view> lines = split(text, '\n');
    if (lines.size() < 3) {
        return fail(Code::failed, "the process that reads packs ended without a report");
    }
    return fail(code_from_name(std::string(lines[0])), std::string(lines[1]),
                std::string(lines[2]));
}

} // namespace hasp::maint
