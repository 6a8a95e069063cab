// A push over HTTP: POST URL/hasp/push, one line of JSON and the bytes behind it.
#include "curl_trust.h"
#include "push_transport.h"

#include <curl/curl.h>

namespace hasp::cmd {

namespace {

constexpr long connect_s_max = 10;
constexpr long question_s_max = 660; // an import at the other end has ten minutes
constexpr std::size_t answer_bytes_max = std::size_t{16} << 20;

std::size_t take_answer(char* data, std::size_t one, std::size_t size, void* argument) {
    auto& answer = *static_cast<std::string*>(argument);
    if (answer.size() + one * size > answer_bytes_max) {
        return 0;
    }
    answer.append(data, one * size);
    return one * size;
}

class HttpTransport final : public PushTransport {
  public:
    explicit HttpTransport(const HttpCenter& center)
        : center_(center), url_(center.url + "/hasp/push"),
          curl_(curl_easy_init(), curl_easy_cleanup), headers_(nullptr, curl_slist_free_all) {
        for (const std::string& line :
             {"Authorization: Bearer " + center.token,
              std::string("Content-Type: application/octet-stream"), std::string("Expect:")}) {
            headers_.reset(curl_slist_append(headers_.release(), line.c_str()));
        }
    }

    bool local() const override { return false; }

    Result<Json> call(const std::string& command, const Json& args,
                      std::string_view bytes) override {
        CURL* curl = curl_.get();
        if (curl == nullptr) {
            return fail(Code::failed, "cannot load libcurl.so.4", "install the package libcurl4");
        }
        std::string body = dump({{"cmd", command}, {"args", args}}) + "\n";
        body += bytes;
        std::string answer;
        curl_easy_setopt(curl, CURLOPT_URL, url_.c_str());
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http");
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers_.get());
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data());
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, question_s_max);
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, connect_s_max);
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        trust_only(curl, center_.ca);
        const CURLcode code = curl_easy_perform(curl);
        if (code != CURLE_OK) {
            return failure(code);
        }
        long status = 0;
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        Json json = parse_object(answer);
        if (json.contains("error")) {
            return error_of(member(json, "error"));
        }
        if (status != 200 || !json.contains("result")) {
            return fail(Code::failed,
                        url_ + " answered with status " + std::to_string(status) +
                            ", and not as a tier does",
                        "HASP_CENTER is the address of the tier's portal, without a path");
        }
        return member(std::move(json), "result");
    }

  private:
    Error failure(CURLcode code) const {
        if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
            return fail(Code::refused,
                        center_.url +
                            " did not prove that it is the tier: " + curl_easy_strerror(code),
                        "for a private authority give its certificate: HASP_CA=FILE");
        }
        return fail(Code::unreachable,
                    center_.url + " cannot be reached: " + curl_easy_strerror(code),
                    "look at the address and the network, and push again: it goes on where it was");
    }

    HttpCenter center_;
    std::string url_;
    std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl_;
    std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers_;
};

} // namespace

Result<std::unique_ptr<PushTransport>> http_transport(const HttpCenter& center) {
    HttpCenter out = center;
    while (out.url.ends_with('/')) {
        out.url.pop_back();
    }
    const bool tls = out.url.starts_with("https://");
    const std::size_t host = tls ? 8 : 7;
    if ((!tls && !out.url.starts_with("http://")) || out.url.size() == host ||
        out.url.find_first_of("/?#@ \r\n", host) != std::string::npos) {
        return fail(Code::usage, "'" + center.url + "' is not the address of a tier",
                    "for example HASP_CENTER=https://center.example");
    }
    if (out.token.find_first_of(" \r\n") != std::string::npos) {
        return fail(Code::usage, "HASP_TOKEN is not a token");
    }
    return std::unique_ptr<PushTransport>(std::make_unique<HttpTransport>(out));
}

} // namespace hasp::cmd
