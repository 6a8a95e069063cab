// The header map of an app's manifest ([headers]): what is set on its requests and answers, and
// what is taken out of these.
#include "exchange.h"

#include "base/text.h"
#include "core.h"

#include <algorithm>

namespace hasp::passon {
namespace {

char folded(char c) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool plain = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    return upper ? static_cast<char>(c - 'A' + 'a') : plain ? c : '-';
}

// Programs that speak CGI take "X.Role" for "X-Role".
bool same_name(std::string_view a, std::string_view b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
               return folded(x) == folded(y);
           });
}

} // namespace

// What the client sent under this name is not forwarded.
bool Exchange::replaces_request(std::string_view name) const {
    for (std::size_t i = 0; i < app_.set_request_count(); ++i) {
        if (same_name(app_.set_request(i).name, name)) {
            return true;
        }
    }
    return false;
}

void Exchange::write_mapped_request(net::HeadWriter& out) {
    for (std::size_t i = 0; i < app_.set_request_count(); ++i) {
        const registry::FieldView field = app_.set_request(i);
        if (!registry::tells_who(field.value)) {
            out.field(field.name, field.value);
        } else if (who_) {
            expand_who(core_.text, field.value);
            if (!core_.text.empty()) {
                out.field(field.name, core_.text);
            }
        }
    }
}

// The value with its words replaced, as [identity] would say them. Precondition: somebody is signed
// on.
void Exchange::expand_who(std::string& into, std::string_view value) const {
    const std::pair<std::string_view, std::string_view> words[] = {{"{user}", who_->identity->user},
                                                                   {"{name}", who_->name},
                                                                   {"{email}", who_->email},
                                                                   {"{groups}", who_->groups}};
    into.clear();
    while (!value.empty()) {
        const auto* const word =
            std::find_if(std::begin(words), std::end(words),
                         [&value](const auto& one) { return value.starts_with(one.first); });
        if (word != std::end(words)) {
            into.append(word->second);
            value.remove_prefix(word->first.size());
        } else {
            into.push_back(value.front());
            value.remove_prefix(1);
        }
    }
}

// What the app said under this name is not forwarded.
bool Exchange::replaces_answer(std::string_view name) const {
    for (std::size_t i = 0; i < app_.drop_answer_count(); ++i) {
        if (iequals(app_.drop_answer(i), name)) {
            return true;
        }
    }
    for (std::size_t i = 0; i < app_.set_answer_count(); ++i) {
        if (iequals(app_.set_answer(i).name, name)) {
            return true;
        }
    }
    return false;
}

void Exchange::write_mapped_answer(net::HeadWriter& out) const {
    for (std::size_t i = 0; i < app_.set_answer_count(); ++i) {
        out.field(app_.set_answer(i).name, app_.set_answer(i).value);
    }
}

} // namespace hasp::passon
