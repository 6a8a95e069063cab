#include "json_tools.h"

template class nlohmann::basic_json<>;
