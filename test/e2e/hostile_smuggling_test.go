package e2e_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/test/proc"
)

// smuggle is one attack on the way a request is delimited. Everything behind what the
// proxy must take for the request asks for /smuggled, which no backend may ever see.
type smuggle struct {
	clause string
	send   string
	want   string // the statuses in order; "+" behind them: the connection goes on
	sees   string // the targets the backend sees; "?": the request whose body is at fault, or nothing
}

const (
	smuggled = "GET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n"
	nul      = "\x00"
)

// post is a POST head with the given lines, and whatever follows it.
func post(lines string, behind string) string {
	return "POST /p HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n" + behind
}

// chunked is a POST in the chunked coding with the given body bytes.
func chunked(body string) string { return post("Transfer-Encoding: chunked\r\n", body) }

// field is a GET with one field line as given, its line end included.
func field(line string) string { return "GET /f HTTP/1.1\r\nHost: a\r\n" + line + "\r\n" }

func lengthAttacks() []smuggle {
	return []smuggle{
		{"9112_6.1_CL_then_TE", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled), "400", ""},
		{"9112_6.1_TE_then_CL", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"+smuggled), "400", ""},
		{"9112_6.1_CL_0_and_TE", post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled), "400", ""},
		{"9112_6.3_two_different_CL", post("Content-Length: 0\r\nContent-Length: 35\r\n", smuggled), "400", ""},
		{"9112_6.3_two_equal_CL", post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"+smuggled), "400", ""},
		{"9112_6.3_CL_list_equal", post("Content-Length: 3, 3\r\n", "abc"+smuggled), "400", ""},
		{"9112_6.3_CL_list_different", post("Content-Length: 0, 35\r\n", smuggled), "400", ""},
		{"9110_8.6_CL_plus", post("Content-Length: +3\r\n", "abc"+smuggled), "400", ""},
		{"9110_8.6_CL_minus", post("Content-Length: -1\r\n", smuggled), "400", ""},
		{"9110_8.6_CL_minus_zero", post("Content-Length: -0\r\n", smuggled), "400", ""},
		{"9110_8.6_CL_hex", post("Content-Length: 0x3\r\n", "abc"+smuggled), "400", ""},
		{"9110_8.6_CL_underscore", post("Content-Length: 1_0\r\n", "0123456789"+smuggled), "400", ""},
		{"9110_8.6_CL_fraction", post("Content-Length: 3.0\r\n", "abc"+smuggled), "400", ""},
		{"9110_8.6_CL_exponent", post("Content-Length: 3e0\r\n", "abc"+smuggled), "400", ""},
		{"9110_8.6_CL_inner_space", post("Content-Length: 3 9\r\n", "abc"+smuggled), "400", ""},
		{"9110_8.6_CL_empty", post("Content-Length:\r\n", smuggled), "400", ""},
		{"9110_8.6_CL_quoted", post("Content-Length: \"3\"\r\n", "abc"+smuggled), "400", ""},
		{"9110_8.6_CL_comma", post("Content-Length: 3,\r\n", "abc"+smuggled), "400", ""},
		{"9110_8.6_CL_semicolon", post("Content-Length: 3;a\r\n", "abc"+smuggled), "400", ""},
		{"9110_8.6_CL_2^63", post("Content-Length: 9223372036854775808\r\n", smuggled), "400", ""},
		{"9110_8.6_CL_2^64+3", post("Content-Length: 18446744073709551619\r\n", "abc"+smuggled), "400", ""},
		{"9110_8.6_CL_300_digits", post("Content-Length: "+strings.Repeat("0", 299)+"3\r\n", "abc"+smuggled), "400", ""},
		{"9110_8.6_CL_arabic_digits", post("Content-Length: \u0663\r\n", "abc"+smuggled), "400", ""},
		{"9110_8.6_CL_NUL", post("Content-Length: 3"+nul+"\r\n", "abc"+smuggled), "400", ""},
		{"9110_8.6_CL_vertical_tab", post("Content-Length: \v3\r\n", "abc"+smuggled), "400", ""},
		{"9110_8.6_CL_form_feed", post("Content-Length: 3\f\r\n", "abc"+smuggled), "400", ""},
		{"9110_5.5_CL_tabs_around", post("Content-Length:\t3\t\r\n", "abc"), "200+", "/p"},
		{"9112_6.3_body_is_not_a_request", post("Content-Length: 35\r\n", smuggled), "200+", "/p"},
		{"9112_6.3_behind_CL_is_the_next", post("Content-Length: 3\r\n", "abc"+get("/next")), "200 200+", "/p /next"},
		{"9112_6.3_GET_with_body", "GET /g HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\n" + smuggled, "200+", "/g"},
		{"9112_6.3_HEAD_with_body", "HEAD /h HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\n" + smuggled, "200+", "/h"},
		{"9112_6.3_own_answer_eats_body", "POST /own/ HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\n" + smuggled, "200+", ""},
		{"9112_6.3_own_answer_then_next",
			"POST /own/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get("/next"), "200 200+", "/next"},
		{"name_with_underscore", post("Content_Length: 35\r\n", get("/next")), "200 200+", "/p /next"},
	}
}

func codingAttacks() []smuggle {
	te := func(value string) string { return post("Transfer-Encoding: "+value+"\r\n", "0\r\n\r\n"+smuggled) }
	return []smuggle{
		{"9112_6.1_TE_unknown", te("xchunked"), "501", ""},
		{"9112_6.1_TE_identity", te("identity"), "501", ""},
		{"9112_6.1_TE_gzip_chunked", te("gzip, chunked"), "501", ""},
		{"9112_6.1_TE_chunked_gzip", te("chunked, gzip"), "501", ""},
		{"9112_6.1_TE_chunked_identity", te("chunked, identity"), "501", ""},
		{"9112_6.1_TE_twice_in_a_list", te("chunked, chunked"), "400", ""},
		{"9112_6.1_TE_two_lines", te("chunked\r\nTransfer-Encoding: chunked"), "400", ""},
		{"9112_6.1_TE_two_lines_other", te("chunked\r\nTransfer-Encoding: identity"), "400", ""},
		{"9112_6.1_TE_comma_before", te(", chunked"), "400", ""},
		{"9112_6.1_TE_comma_behind", te("chunked,"), "400", ""},
		{"9112_6.1_TE_parameter", te("chunked;q=1"), "501", ""},
		{"9112_6.1_TE_quoted", te("\"chunked\""), "501", ""},
		{"9112_6.1_TE_apostrophes", te("'chunked'"), "501", ""},
		{"9112_6.1_TE_empty", te(""), "400", ""},
		{"9112_6.1_TE_NUL_behind", te("chunked" + nul), "400", ""},
		{"9112_6.1_TE_vertical_tab", te("\vchunked"), "400", ""},
		{"9112_6.1_TE_form_feed", te("chunked\f"), "400", ""},
		{"9112_6.1_TE_nbsp", te("chunked\xa0"), "501", ""},
		{"9112_6.1_TE_del", te("chunked\x7f"), "400", ""},
		{"9112_6.1_TE_kelvin_sign", te("chun\u212aed"), "501", ""},
		{"9112_6.1_TE_in_1.0", "POST /p HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, "400", ""},
		{"9112_5.1_TE_space_before_colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"+smuggled), "400", ""},
		{"9112_5.1_TE_tab_before_colon", post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"+smuggled), "400", ""},
		{"9112_5.1_TE_NUL_before_colon", post("Transfer-Encoding"+nul+": chunked\r\n", "0\r\n\r\n"+smuggled), "400", ""},
		{"9112_5.2_TE_folded", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+smuggled), "400", ""},
		{"9112_5.2_TE_folded_tab", post("X: y\r\n\tTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled), "400", ""},
		{"9112_5.2_leading_space", "GET /f HTTP/1.1\r\n Host: a\r\n\r\n", "400", ""},
		{"9112_2.2_TE_behind_bare_CR", post("X: y\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled), "400", ""},
		{"9112_2.2_TE_behind_bare_LF", post("X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled), "400", ""},
		{"name_with_underscore", post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), "200+", "/p"},
		{"name_nearly", post("Transfer-Encodin: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), "200+", "/p"},
		{"9110_9.1_value_in_any_case", post("tRANSFER-eNCODING: CHUNKED\r\n", "3\r\nabc\r\n0\r\n\r\n"), "200+", "/p"},
		{"9110_7.6.1_Connection_names_CL", post("Connection: Content-Length\r\nContent-Length: 35\r\n", smuggled), "200+", "/p"},
		{"9110_7.6.1_Connection_names_TE", post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
			"23\r\n"+smuggled+"\r\n0\r\n\r\n"), "200+", "/p"},
		{"9110_7.6.1_Connection_names_Host", field("Connection: Host\r\n"), "200+", "/f"},
	}
}

func chunkAttacks() []smuggle {
	return []smuggle{
		{"9112_7.1_behind_last_chunk_is_the_next", chunked("3\r\nabc\r\n0\r\n\r\n" + get("/next")), "200 200+", "/p /next"},
		{"9112_7.1_chunk_is_not_a_request", chunked("23\r\n" + smuggled + "\r\n0\r\n\r\n"), "200+", "/p"},
		{"9112_7.1_size_plus", chunked("+3\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_size_minus", chunked("-3\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_size_0x", chunked("0x3\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_size_empty", chunked("\r\n" + smuggled), "400", ""},
		{"9112_7.1_size_leading_space", chunked(" 3\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_size_inner_space", chunked("3 3\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_size_underscore", chunked("1_0\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_size_2^64", chunked("10000000000000003\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_size_2^63", chunked("8000000000000000\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_size_100_zeros", chunked(strings.Repeat("0", 100) + "3\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_size_LF_only", chunked("3\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_size_CR_only", chunked("3\rabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_size_CR_CR_LF", chunked("3\r\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_size_NUL", chunked("3" + nul + "\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_size_comma", chunked("3,5\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_data_too_long", chunked("3\r\nabcd\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_data_without_end", chunked("3\r\nabc0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_data_LF_only", chunked("3\r\nabc\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_data_CR_only", chunked("3\r\nabc\r0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1_last_LF_only", chunked("0\n\n" + smuggled), "400", ""},
		{"9112_7.1_last_mixed", chunked("0\r\n\n" + smuggled), "400", ""},
		{"9112_7.1_many_zeros_last", chunked("3\r\nabc\r\n000000000000000\r\n\r\n" + get("/next")), "200 200+", "/p /next"},
		{"9112_7.1.1_extension", chunked("3;a=b;c=\"d\"\r\nabc\r\n0;e\r\n\r\n" + get("/next")), "200 200+", "/p /next"},
		{"9112_7.1.1_extension_quoted_end", chunked("3;a=\"\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1.1_extension_bare_LF", chunked("3;a\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1.1_extension_bare_CR", chunked("3;a\rb\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1.1_extension_NUL", chunked("3;a" + nul + "\r\nabc\r\n0\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1.1_extension_bomb", chunked("3;" + strings.Repeat("x", 20_000) + "\r\nabc\r\n0\r\n\r\n"), "400", "?"},
		{"9112_7.1.2_trailer_dropped", chunked("0\r\nContent-Length: 35\r\nX-Real-IP: 1.2.3.4\r\n\r\n" + get("/next")),
			"200 200+", "/p /next"},
		{"9112_7.1.2_trailer_folded", chunked("0\r\nX: y\r\n z\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1.2_trailer_without_colon", chunked("0\r\nGET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n"), "400", ""},
		{"9112_7.1.2_trailer_bare_LF", chunked("0\r\nX: y\n\r\n" + smuggled), "400", ""},
		{"9112_7.1.2_trailer_space_before_colon", chunked("0\r\nX : y\r\n\r\n" + smuggled), "400", ""},
		{"9112_7.1.2_trailer_bomb", chunked("0\r\n" + strings.Repeat("X: y\r\n", 5000) + "\r\n"), "431", "?"},
		{"9112_7.1_to_a_1.0_upstream", "POST /old/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"3\r\nabc\r\n0\r\n\r\n", "411+", ""},
		{"9110_15.5.14_chunks_past_the_limit", "POST /small/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"c8\r\n" + strings.Repeat("b", 200) + "\r\n0\r\n\r\n" + smuggled, "413", ""},
		{"9110_15.5.14_length_past_the_limit", "POST /small/p HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\n\r\n" +
			strings.Repeat("b", 200) + smuggled, "413", ""},
	}
}

func headAttacks() []smuggle {
	return []smuggle{
		{"9112_2.2_bare_LF_everywhere", "GET /f HTTP/1.1\nHost: a\n\n", "400", ""},
		{"9112_2.2_bare_LF_request_line", "GET /f HTTP/1.1\nHost: a\r\n\r\n", "400", ""},
		{"9112_2.2_bare_LF_ends_head", "GET /f HTTP/1.1\r\nHost: a\r\n\n", "400", ""},
		{"9112_2.2_bare_CR_in_value", field("X: a\rb\r\n"), "400", ""},
		{"9112_2.2_bare_CR_in_line", "GET /f HTTP/1.1\rX: y\r\nHost: a\r\n\r\n", "400", ""},
		{"9112_2.2_CR_CR_LF", "GET /f HTTP/1.1\r\r\nHost: a\r\n\r\n", "400", ""},
		{"9112_2.2_empty_lines_before", "\r\n\r\n" + get("/f"), "200+", "/f"},
		{"9112_2.2_many_empty_lines", strings.Repeat("\r\n", 1000) + get("/f"), "400", ""},
		{"9112_2.2_spaces_before", "  " + get("/f"), "400", ""},
		{"9110_5.5_NUL_in_value", field("X: a" + nul + "b\r\n"), "400", ""},
		{"9110_5.5_NUL_in_name", field("X" + nul + ": b\r\n"), "400", ""},
		{"9110_5.5_ESC_in_value", field("X: \x1b[2J\r\n"), "400", ""},
		{"9110_5.5_DEL_in_value", field("X: a\x7f\r\n"), "400", ""},
		{"9110_5.6.2_empty_name", field(": x\r\n"), "400", ""},
		{"9110_5.6.2_name_with_slash", field("X/Y: x\r\n"), "400", ""},
		{"9110_5.6.2_name_with_high_byte", field("X\xff: x\r\n"), "400", ""},
		{"9112_5.1_no_colon", field("Nocolon\r\n"), "400", ""},
		{"9112_3_two_spaces", "GET  /f HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"9112_3_tab", "GET\t/f\tHTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"9112_3_space_in_target", "GET /f x HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"9112_3_trailing_space", "GET /f HTTP/1.1 \r\nHost: a\r\n\r\n", "400", ""},
		{"9112_3_NUL_in_target", "GET /f" + nul + " HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"9112_3_control_in_target", "GET /f\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"9112_3_fragment", "GET /f#frag HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"9112_3_bad_method", "G(T /f HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"9112_3_lower_case_method", "get /f HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"9112_3_method_bomb", strings.Repeat("M", 60_000) + " /f HTTP/1.1\r\nHost: a\r\n\r\n", "501", ""},
		{"9112_3_target_bomb", get("/" + strings.Repeat("t", 60_000)), "414", ""},
		{"9112_3_value_bomb", field("X: " + strings.Repeat("v", 60_000) + "\r\n"), "431", ""},
		{"9112_3_name_bomb", field(strings.Repeat("n", 60_000) + ": v\r\n"), "431", ""},
		{"9112_3_field_bomb", field(strings.Repeat("a:\r\n", 8000)), "431", ""},
		{"9112_2.3_HTTP_0.9", "GET /f\r\n\r\n", "400", ""},
		{"9112_2.3_version_1.2", "GET /f HTTP/1.2\r\nHost: a\r\n\r\n", "200+", "/f"},
		{"9112_2.3_version_11", "GET /f HTTP/11\r\nHost: a\r\n\r\n", "400", ""},
		{"9112_2.3_version_1.10", "GET /f HTTP/1.10\r\nHost: a\r\n\r\n", "400", ""},
		{"9112_2.3_version_0.1", "GET /f HTTP/0.9\r\nHost: a\r\n\r\n", "505", ""},
		{"9112_2.3_lower_case", "GET /f http/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"9113_3.4_HTTP_2_preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505", ""},
		{"8446_ClientHello", "\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03" + strings.Repeat("\xaa", 185), "400", ""},
		{"SOCKS_5", "\x05\x01\x00", "400", ""},
		{"PROXY_line_unasked", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get("/f"), "400", ""},
	}
}

func targetAttacks() []smuggle {
	return []smuggle{
		{"9112_3.2_no_Host", "GET /f HTTP/1.1\r\n\r\n", "400", ""},
		{"9112_3.2_two_equal_Hosts", field("Host: a\r\n"), "400", ""},
		{"9112_3.2_two_Hosts", field("Host: b\r\n"), "400", ""},
		{"9112_3.2_Host_list", "GET /f HTTP/1.1\r\nHost: a, b\r\n\r\n", "400", ""},
		{"9112_3.2_Host_empty", "GET /f HTTP/1.1\r\nHost:\r\n\r\n", "400", ""},
		{"9112_3.2_Host_userinfo", "GET /f HTTP/1.1\r\nHost: a@b\r\n\r\n", "400", ""},
		{"9112_3.2_Host_space", "GET /f HTTP/1.1\r\nHost: a b\r\n\r\n", "400", ""},
		{"9112_3.2_Host_port_bomb", "GET /f HTTP/1.1\r\nHost: a:99999999999\r\n\r\n", "400", ""},
		{"9112_3.2_Host_port_word", "GET /f HTTP/1.1\r\nHost: a:80@evil\r\n\r\n", "400", ""},
		{"9112_3.2_Host_dots", "GET /f HTTP/1.1\r\nHost: a..b\r\n\r\n", "400", ""},
		{"9112_3.2_Host_folded", "GET /f HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "400", ""},
		{"9112_3.2.2_absolute_overrides_Host", "GET http://inner.example/f HTTP/1.1\r\nHost: outer\r\n\r\n", "200+", "/f"},
		{"9112_3.2.2_absolute_without_path", "GET http://inner.example HTTP/1.1\r\nHost: outer\r\n\r\n", "200+", "/"},
		{"9112_3.2.2_absolute_query_only", "GET http://inner.example?q HTTP/1.1\r\nHost: outer\r\n\r\n", "200+", "/?q"},
		{"9112_3.2.2_absolute_userinfo", "GET http://u:p@inner/f HTTP/1.1\r\nHost: outer\r\n\r\n", "400", ""},
		{"9112_3.2.2_absolute_bad_scheme", "GET gopher://inner/f HTTP/1.1\r\nHost: outer\r\n\r\n", "400", ""},
		{"9112_3.2.2_absolute_empty_host", "GET http:///f HTTP/1.1\r\nHost: outer\r\n\r\n", "400", ""},
		{"9112_3.2.2_absolute_no_Host", "GET http://inner/f HTTP/1.1\r\n\r\n", "400", ""},
		{"9112_3.2.3_CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n" + smuggled, "405", ""},
		{"9112_3.2.3_CONNECT_path", "CONNECT /f HTTP/1.1\r\nHost: a\r\n\r\n" + smuggled, "400", ""},
		{"9112_3.2.3_authority_for_GET", "GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"9112_3.2.4_GET_asterisk", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
		{"3986_5.2.4_dot_segments", get("/a/../../f"), "400", ""},
		{"3986_5.2.4_encoded_dots", get("/%2e%2e/f"), "400", ""},
		{"3986_2.1_bad_percent", get("/%zz"), "400", ""},
		{"3986_2.1_percent_NUL", get("/a%00b"), "400", ""},
		{"CRLF_in_uri_to_a_field", get("/path/a%0d%0aX-Evil:%20yes%0d%0a%0d%0aGET%20/"), "200+",
			"/path/a%0d%0aX-Evil:%20yes%0d%0a%0d%0aGET%20/"},
		{"CRLF_in_args_to_a_field", get("/args/a?a=b%0d%0aX-Evil:%20yes"), "200+", "/args/a?a=b%0d%0aX-Evil:%20yes"},
		{"CRLF_in_uri_to_Location", get("/moved/a%0d%0aX-Evil:%20yes"), "302+", ""},
		{"CRLF_in_uri_to_proxy_pass", get("/mapped/a%0d%0ab%20HTTP/1.1"), "200+", "/other/a%0D%0Ab%20HTTP/1.1"},
		{"9112_3.2_raw_CR_in_target", "GET /f\rX HTTP/1.1\r\nHost: a\r\n\r\n", "400", ""},
	}
}

func allSmuggles() map[string][]smuggle {
	return map[string][]smuggle{
		"length": lengthAttacks(), "coding": codingAttacks(), "chunk": chunkAttacks(),
		"head": headAttacks(), "target": targetAttacks(),
	}
}

// What a request is, where it ends, and that nothing else ever reaches a backend.
func TestHostileSmuggling(t *testing.T) {
	g := startGround(t, echoTarget)
	for group, rows := range allSmuggles() {
		for _, row := range rows {
			t.Run(group+"/"+row.clause, func(t *testing.T) { g.smuggle(t, row) })
		}
	}
	g.calm(t, "after all attacks")
}

func (g *ground) smuggle(t *testing.T, row smuggle) {
	c := proc.Try(g.Front())
	defer c.Close()
	go func() { _, _ = c.Conn().Write([]byte(row.send)) }()
	want, open := strings.CutSuffix(row.want, "+")
	sees := strings.Fields(row.sees)
	answered := 0
	for _, status := range strings.Fields(want) {
		h := c.Head()
		if c.Err() != nil {
			t.Errorf("want %s: %v", row.want, c.Err())
			break
		}
		if got := strconv.Itoa(h.Status()); got != status {
			t.Errorf("got %q, want status %s", h.Start, status)
		}
		if strings.HasPrefix(row.send, "HEAD") {
			continue
		}
		body := string(c.Body(h))
		if h.Status() == 200 && answered < len(sees) && body != "own\n" {
			equal(t, "answer", body, sees[answered])
			answered++
		}
		if h.Has("X-Evil") {
			t.Errorf("a field of the attacker's came back: %q", h.Raw)
		}
	}
	if open {
		c.Send(get("/after"))
		equal(t, "answer on the same connection", string(c.Body(c.Response(200))), "/after")
		sees = append(sees, "/after")
	} else {
		c.ExpectEnd()
	}
	if c.Err() != nil && !t.Failed() {
		t.Error(c.Err())
	}
	c.Close()
	g.alive(t)
	from := g.mark
	got := strings.Join(g.targets(), " ")
	if row.sees == "?" && (got == "" || got == "/p" || got == "/small/p") {
		got = "?"
	}
	if got != strings.Join(sees, " ") {
		t.Errorf("the backend saw %q, want %q", got, sees)
	}
	for _, x := range g.backend.Seen()[from:] {
		if err := honest(x.Head); err != nil {
			t.Errorf("the backend got %q: %v", x.Head.Raw, err)
		}
		if x.Head.Has("X-Evil") || x.Head.Has("X-Real-IP") {
			t.Errorf("a field of the attacker's reached the backend: %q", x.Head.Raw)
		}
	}
	g.settled(t)
}

// The same bytes through nginx, for comparison: where nginx refuses what holdfast lets
// pass, holdfast is too lax. HOLDFAST_HOSTILE_COMPARE=1 prints every verdict.
func TestHostileComparison(t *testing.T) {
	if os.Getenv("HOLDFAST_HOSTILE_COMPARE") != "1" {
		t.Skip("informational: HOLDFAST_HOSTILE_COMPARE=1 prints nginx's verdicts beside holdfast's")
	}
	verdicts := map[proc.Kind]map[string]string{}
	for _, kind := range []proc.Kind{proc.Nginx, proc.Holdfast} {
		verdicts[kind] = verdictsOf(t, kind)
	}
	for name, theirs := range verdicts[proc.Nginx] {
		ours := verdicts[proc.Holdfast][name]
		note := "same"
		if ours != theirs {
			note = "differs"
			if strings.HasPrefix(ours, "2") && !strings.HasPrefix(theirs, "2") {
				note = "LAXER"
			}
		}
		fmt.Printf("%-8s %-52s nginx %-60s holdfast %s\n", note, name, theirs, ours)
	}
}

// verdictsOf plays every attack at once, each on a backend path of its own.
func verdictsOf(t *testing.T, kind proc.Kind) map[string]string {
	var mu sync.Mutex
	out := map[string]string{}
	b := proc.NewBackend(t, echoTarget)
	spec := hostileSpec(t, b)
	if kind == proc.Nginx {
		spec.HTTP = strings.Replace(spec.HTTP, "tunnel_send_timeout 400ms;", "", 1)
	}
	p := proc.Start(t, kind, spec)
	for group, rows := range allSmuggles() {
		for _, row := range rows {
			name := group + "/" + row.clause
			before := len(b.Seen())
			c := proc.Try(p.Front())
			c.Send(row.send)
			verdict := answers(c, row.send, 60*time.Millisecond)
			c.Close()
			var saw []string
			for _, x := range b.Seen()[before:] {
				saw = append(saw, x.Head.Target())
			}
			mu.Lock()
			out[name] = verdict + " saw " + strings.Join(saw, ",")
			mu.Unlock()
		}
	}
	return out
}
