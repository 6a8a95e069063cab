// Whom libcurl trusts.
#pragma once

#include <curl/curl.h>
#include <string>

namespace hasp::cmd {

// The authorities in `file` (PEM) in the place of the system's; empty: the system's. libcurl has a
// folder of the system's beside any file, unless that is taken away too.
inline void trust_only(CURL* curl, const std::string& file) {
    if (!file.empty()) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, file.c_str());
        curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
    }
}

} // namespace hasp::cmd
