// libcurl, loaded when it is called first. A process of a tier never calls it, nor do most
// commands; to load it with the two dozen libraries that it brings is half of what a short command
// takes, and 4 MB of each process (doc/decisions/0002). Here stand, under their own names, those of
// its functions that hasp calls. Where it cannot be loaded, curl_easy_init() gives nothing.
#include <curl/curl.h>

#include <cstdarg>
#include <dlfcn.h>

namespace {

constexpr const char* library_name = "libcurl.so.4"; // its ABI since 2006

struct Library {
    decltype(&curl_easy_init) init = nullptr;
    decltype(&curl_easy_cleanup) cleanup = nullptr;
    decltype(&curl_easy_perform) perform = nullptr;
    decltype(&curl_easy_strerror) strerror = nullptr;
    decltype(&curl_slist_append) append = nullptr;
    decltype(&curl_slist_free_all) free_all = nullptr;
    CURLcode (*setopt)(CURL*, CURLoption, ...) = nullptr;
    CURLcode (*getinfo)(CURL*, CURLINFO, ...) = nullptr;
    bool whole = false;

    Library() {
        void* const handle = ::dlopen(library_name, RTLD_NOW | RTLD_LOCAL); // for good
        if (handle == nullptr) {
            return;
        }
        whole = true;
        find(handle, "curl_easy_init", init);
        find(handle, "curl_easy_cleanup", cleanup);
        find(handle, "curl_easy_perform", perform);
        find(handle, "curl_easy_strerror", strerror);
        find(handle, "curl_slist_append", append);
        find(handle, "curl_slist_free_all", free_all);
        find(handle, "curl_easy_setopt", setopt);
        find(handle, "curl_easy_getinfo", getinfo);
    }
    template <typename Function>
    void find(void* handle, const char* name, Function& out) {
        out = reinterpret_cast<Function>(::dlsym(handle, name));
        whole = whole && out != nullptr;
    }
};

const Library& library() {
    static const Library loaded;
    return loaded;
}

} // namespace

extern "C" {

CURL* curl_easy_init() {
    return library().whole ? library().init() : nullptr;
}

// What follows is called with what curl_easy_init() gave, but for lists.
void curl_easy_cleanup(CURL* curl) {
    library().cleanup(curl);
}
CURLcode curl_easy_perform(CURL* curl) {
    return library().perform(curl);
}
const char* curl_easy_strerror(CURLcode code) {
    return library().strerror(code);
}

curl_slist* curl_slist_append(curl_slist* list, const char* text) {
    return library().whole ? library().append(list, text) : nullptr;
}
void curl_slist_free_all(curl_slist* list) {
    if (library().whole) {
        library().free_all(list);
    }
}

// A long, a pointer or a curl_off_t: each a word, where hasp runs.
static_assert(sizeof(long) == sizeof(void*) && sizeof(curl_off_t) == sizeof(void*));

CURLcode(curl_easy_setopt)(CURL* curl, CURLoption option, ...) {
    va_list rest;
    va_start(rest, option);
    void* const value = va_arg(rest, void*);
    va_end(rest);
    return library().setopt(curl, option, value);
}
CURLcode(curl_easy_getinfo)(CURL* curl, CURLINFO info, ...) {
    va_list rest;
    va_start(rest, info);
    void* const value = va_arg(rest, void*);
    va_end(rest);
    return library().getinfo(curl, info, value);
}

} // extern "C"
