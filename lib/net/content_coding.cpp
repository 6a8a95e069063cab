#include "net/content_coding.h"

#include "base/text.h"
#include "chars.h"
#include "net/fields.h"

#include <algorithm>
#include <optional>

namespace hasp::net {
namespace {

constexpr std::string_view mark = ";hasp-coded\"";
constexpr int weight_unset = -1;

bool ends_with_word(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && iequals(text.substr(text.size() - end.size()), end);
}

// qvalue in thousandths (§12.4.2).
std::optional<int> parse_weight(std::string_view text) {
    if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1') ||
        (text.size() > 1 && text[1] != '.')) {
        return std::nullopt;
    }
    int weight = (text[0] - '0') * 1000;
    int unit = 100;
    for (const char c : text.substr(std::min<std::size_t>(2, text.size()))) {
        if (c < '0' || c > '9') {
            return std::nullopt;
        }
        weight += (c - '0') * unit;
        unit /= 10;
    }
    return weight <= 1000 ? std::optional(weight) : std::nullopt;
}

// What one or more Accept-Encoding values say.
class Weights {
  public:
    Weights() { named_.fill(weight_unset); }

    void read(std::string_view value) {
        ListItems items(value);
        while (const auto item = items.next()) {
            read_one(*item);
        }
    }
    Coding best(CodingSet offered) const {
        Coding best = Coding::identity;
        int most = std::max(named(Coding::identity), 0);
        for (const Coding one : {Coding::gzip, Coding::zstd, Coding::br}) {
            const int weight = named(one) != weight_unset ? named(one) : std::max(others_, 0);
            if (offered.has(one) && weight > 0 && weight >= most) {
                best = one;
                most = weight;
            }
        }
        return best;
    }

  private:
    int named(Coding coding) const { return named_[static_cast<std::size_t>(coding)]; }

    void read_one(std::string_view item) {
        const std::size_t stop = std::min(item.find(';'), item.size());
        const std::string_view name = trim(item.substr(0, stop));
        int weight = 1000;
        if (stop < item.size()) {
            const std::string_view parameter = trim(item.substr(stop + 1));
            if (parameter.size() < 3 || lower(parameter[0]) != 'q' || parameter[1] != '=') {
                return;
            }
            const auto given = parse_weight(parameter.substr(2));
            if (!given) {
                return;
            }
            weight = *given;
        }
        if (name == "*") {
            set(others_, weight);
        } else if (iequals(name, "gzip") || iequals(name, "x-gzip")) {
            set(named_[static_cast<std::size_t>(Coding::gzip)], weight);
        } else if (iequals(name, "zstd")) {
            set(named_[static_cast<std::size_t>(Coding::zstd)], weight);
        } else if (iequals(name, "br")) {
            set(named_[static_cast<std::size_t>(Coding::br)], weight);
        } else if (iequals(name, "identity")) {
            set(named_[static_cast<std::size_t>(Coding::identity)], weight);
        }
    }
    // Named twice, the first counts.
    static void set(int& which, int weight) {
        if (which == weight_unset) {
            which = weight;
        }
    }

    std::array<int, codings_known> named_;
    int others_ = weight_unset; // of "*"
};

} // namespace

std::string_view coding_name(Coding coding) {
    constexpr std::array<std::string_view, codings_known> names{"", "gzip", "zstd", "br"};
    return names[static_cast<std::size_t>(coding)];
}

std::string_view coding_suffix(Coding coding) {
    constexpr std::array<std::string_view, codings_known> suffixes{"", ".gz", ".zst", ".br"};
    return suffixes[static_cast<std::size_t>(coding)];
}

Coding coding_of(std::string_view name) {
    for (const Coding one : {Coding::gzip, Coding::zstd, Coding::br}) {
        if (name == coding_name(one)) {
            return one;
        }
    }
    return Coding::identity;
}

Coding choose_coding(const Headers& request, CodingSet offered) {
    const Header* field = request.find(Name::accept_encoding);
    if (field == nullptr || offered.empty()) {
        return Coding::identity;
    }
    Weights weights;
    for (; field != nullptr; field = request.next(*field)) {
        weights.read(field->value);
    }
    return weights.best(offered);
}

Coding choose_coding(std::string_view accept_encoding, CodingSet offered) {
    Weights weights;
    weights.read(accept_encoding);
    return weights.best(offered);
}

bool is_compressible(std::string_view content_type) {
    const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
    const std::size_t slash = type.find('/');
    if (slash == std::string_view::npos) {
        return false;
    }
    const std::string_view group = type.substr(0, slash);
    const std::string_view kind = type.substr(slash + 1);
    if (iequals(group, "text")) {
        return !kind.empty() && !iequals(kind, "event-stream");
    }
    if (ends_with_word(kind, "+json") || ends_with_word(kind, "+xml")) {
        return true;
    }
    const auto is_one_of = [kind](auto&&... words) { return (iequals(kind, words) || ...); };
    if (iequals(group, "application")) {
        return is_one_of("json", "javascript", "xml", "wasm", "x-javascript", "ecmascript",
                         "x-ndjson", "ndjson", "json-seq", "jsonl", "yaml", "x-yaml", "toml", "sql",
                         "graphql", "rtf", "xml-dtd", "x-sh", "x-tex", "x-subrip", "postscript",
                         "vnd.ms-fontobject", "x-tar");
    }
    if (iequals(group, "font")) {
        return is_one_of("ttf", "otf", "sfnt", "collection");
    }
    return iequals(group, "image") && is_one_of("bmp", "x-icon", "vnd.microsoft.icon");
}

void append_coded_etag(std::string& out, std::string_view etag) {
    if (etag.size() < 2 || etag.front() != '"' || etag.back() != '"') {
        out.append(etag); // weak, or none
        return;
    }
    out.append("W/").append(etag.substr(0, etag.size() - 1)).append(mark);
}

void append_uncoded_etags(std::string& out, std::string_view text) {
    while (!text.empty()) {
        const std::size_t from = text.find('"');
        const std::size_t to =
            from == std::string_view::npos ? std::string_view::npos : text.find('"', from + 1);
        if (to == std::string_view::npos) {
            break;
        }
        const std::string_view tag = text.substr(from, to + 1 - from);
        if (from >= 2 && text.substr(from - 2, 2) == "W/" && tag.ends_with(mark)) {
            out.append(text.substr(0, from - 2));
            out.append(tag.substr(0, tag.size() - mark.size())).append("\"");
        } else {
            out.append(text.substr(0, to + 1));
        }
        text.remove_prefix(to + 1);
    }
    out.append(text);
}

bool has_coded_etag(std::string_view text) {
    return text.find(mark) != std::string_view::npos;
}

} // namespace hasp::net
