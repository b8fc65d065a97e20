// suite/document_style.h: the look of the HTML report.
#pragma once

namespace camprobe::suite {

inline constexpr const char* kDocumentStyle = R"(
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1c2329;background:#fff}
h1{font-size:1.5rem;margin:2rem 0 .5rem}h2{font-size:1.15rem;margin:1.6rem 0 .4rem;border-bottom:1px solid #dde3e8}
table{border-collapse:collapse;margin:.8rem 0;width:100%;font-size:.9rem}caption{text-align:left;font-weight:600;padding:.2rem 0}
th,td{padding:.25rem .5rem;border-bottom:1px solid #e6ebef;text-align:left;vertical-align:top;overflow-wrap:break-word}.n{text-align:right;white-space:nowrap}
figure{margin:1rem 0}figcaption{font-weight:600;font-size:.9rem}svg text{font:11px system-ui,sans-serif;fill:#53616c}.grid{stroke:#e6ebef}
@media(prefers-color-scheme:dark){body{background:#14191d;color:#dfe6eb}th,td,h2{border-color:#2b343b}svg text{fill:#9aa7b1}.grid{stroke:#2b343b}})";

}  // namespace camprobe::suite
