// The sections of hasp-app.toml about requests that go to a server: [upstream] and [headers]. Pure.
#pragma once

#include "manifest_read.h"

namespace hasp::run {

Status read_upstream(const ManifestReader& in, Manifest& m);
// After [identity] was read: no header is told two things.
Status read_headers(const ManifestReader& in, Manifest& m);

} // namespace hasp::run
