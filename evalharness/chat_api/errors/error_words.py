"""What an error is about, by its codes and words: money, a request that is too long, its content.

Servers send these under many statuses, so the words decide. They must say what happened, not just
name the topic: a rate limit that advertises more credits is a rate limit.
"""

from __future__ import annotations

import re

from evalharness.chat_api.errors.error_body import ServerError

# A server may echo the request behind its own words.
_OWN_WORDS = 300  # characters

_CREDIT_CODES = frozenset(
    {
        "accountoverdueerror", "arrearage", "billing_error", "billing_hard_limit_reached",
        "billing_not_active", "budget_exceeded", "credit_exhausted", "credits_exhausted",
        "exceeded_current_quota_error", "insufficient_balance", "insufficient_credit",
        "insufficient_credits", "insufficient_funds", "insufficient_user_quota",
        "insufficientbalance", "out_of_credits", "payment_required",
    }
)  # fmt: skip
_FUNDS = r"(?:credits?|balance|funds|prepayment)"
_CREDIT = re.compile(
    rf"""
      \binsufficient[ _-](?:\w+[ ]){{0,3}}{_FUNDS}\b
    | \b(?:used[ ]up|used[ ]all|r[ua]n[ ]out[ ]of|out[ ]of|consumed|exhausted|depleted|exceeded
         |not[ ]enough|do(?:es)?[ ]not[ ]have(?:[ ]any)?|lack(?:s|ing)?)
      [ ](?:(?:of|all|any|your|the|its|their|remaining|available|monthly|current|included|prepaid
         |free|enough|sufficient|account|api|total)[ ]){{0,4}}{_FUNDS}\b
    | \bno[ ](?:(?:more|remaining|available|prepaid|free)[ ])?{_FUNDS}(?:\b(?![ ]card))
    | \b{_FUNDS}[ ](?:(?:is|are|was|were|has|have|been|currently|already|all)[ ]){{0,4}}
      (?:too[ ]low|insufficient|not[ ](?:enough|sufficient)|exhausted|depleted|used[ ]up|empty
         |negative|expired|run[ ]out|overdue|zero)\b
    | \b(?:spend(?:ing)?|billing(?:[ ]hard)?|credit|budget)[ ](?:limit|cap)s?
      (?:[ ]\w+){{0,3}}[ ](?:reached|exceeded|hit)\b
    | \b(?:reached|exceeded|hit|over)[ ](?:(?:your|its|the|their|monthly|daily|weekly|total|current
         |specified|account|api|team|organization)[ ]){{0,4}}
      (?:spend(?:ing)?|billing|credit|budget|usage)(?:[ ](?:limit|cap))s?\b
    | \bbudget[ ]has[ ]been[ ]exceeded\b | \bover[ ]budget\b | \bkey[ ]limit[ ]exceeded\b
    | \bpayment[ ](?:is[ ])?required\b | \barrear\w*
    | \b(?:overdue|unpaid|past[- ]due)[ ](?:balance|bills?|invoices?|payments?|account)\b
    | \baccount\b[^.]{{0,100}}\b(?:is|been)[ ](?:suspended|not[ ]active|overdue|in[ ]arrears)\b
    | \bnot[ ]in[ ]good[ ]standing\b | 余额不足 | 欠费 | 额度(?:不足|已用尽)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ABOUT_MONEY = re.compile(  # enough where access is forbidden
    r"\b(credits?|balance|arrear\w*|overdue|billing|payment|insufficient[ _]funds?|top[ -]?up)\b",
    re.IGNORECASE,
)

_LENGTH_CODES = frozenset(
    {
        "context_length_exceeded", "context_length_error", "context_window_exceeded",
        "contextwindowexceedederror", "exceed_context_size_error", "input_too_long",
        "max_context_length_exceeded", "model_max_prompt_tokens_exceeded", "prompt_too_long",
        "request_too_large", "string_above_max_length", "tokens_limit_reached",
    }
)  # fmt: skip
_CONTEXT = r"context[ _-]?(?:length|window|size|limit)|maximum[ ]context|n_ctx"
_INPUT = r"(?:prompts?|inputs?|requests?|messages?|conversation|query)"
_LENGTH = re.compile(
    rf"""
      \b(?:exceed\w*|larger[ ]than|longer[ ]than|greater[ ]than|more[ ]than|beyond|over|fit|fits
         |too[ ](?:long|large|big|many)|overflow\w*|out[ ]of|reduce\w*|shorten|full)\b
      .{{0,120}}(?:{_CONTEXT})
    | (?:{_CONTEXT}).{{0,160}}\b(?:exceed\w*|reduc\w*|too[ ](?:long|large|small|big)|overflow\w*
         |however|reached|full|but|shorten\w*|requested|has[ ]been[ ]hit)\b
    | \b{_INPUT}(?:[ ][\w'’]+){{0,3}}[ ](?:is|are|was)[ ](?:\w+[ ])?too[ ](?:long|large)\b
    | \b{_INPUT}[ ]too[ ](?:long|large)\b
    | \btoo[ ]many[ ](?:\w+[ ]){{0,2}}tokens\b(?!.*\bwait\b)
    | \b(?:{_INPUT}|tokens?|token[ ]count)\b.{{0,60}}\bexceed\w*[ ](?:\w+[ ]){{0,4}}
      (?:max\w*|token[ ]limit|input[ ]limit|limit[ ]of|number[ ]of[ ]tokens|allowed|model\S*)\b
    | \bmaximum[ ](?:prompt|input|sequence|model)[ ](?:length|tokens|size)\b
    | \b(?:input|prompt)[ ](?:token[ ])?(?:length|limit)[ ](?:should[ ]be|must[ ]be|exceeded)\b
    | \binputs`?[ ]tokens.{{0,40}}must[ ]be
    | \breduce[ ](?:the[ ]|your[ ])?(?:length|size)[ ]of[ ](?:the[ ]|your[ ])?{_INPUT}
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_RATE = re.compile(  # a limit in time, not of one request
    r"\brate[ _-]?limit|\bper[ -](?:second|minute|hour|day|min|month)|\b[tr]p[mds]\b|\bquota\b",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(r"\brequest (?:body |is )?too large\b", re.IGNORECASE)

_CONTENT_CODES = frozenset(
    {
        "bio_policy", "content_filter", "content_filtered", "content_filter_error",
        "content_moderation", "content_policy_violation", "contentpolicyviolationerror",
        "data_inspection_failed", "datainspectionfailed", "guardrail_intervened",
        "image_content_policy_violation", "input_guardrail_triggered",
        "misalignment_policy_violation", "moderation_blocked", "moderation_error",
        "output_guardrail_triggered", "prompt_blocked",
        "prohibited_content", "responsibleaipolicyviolation", "safety_violation",
        "sensitive_content", "sensitive_words_detected",
    }
)  # fmt: skip
_POLICY = (
    r"(?:content|usage|safety|moderation|acceptable[ ]use|responsible[ ]ai)"
    r"[ -](?:\w+[ -])?(?:polic\w+|guidelines?|filter\w*|checks?|systems?|rules?|moderation"
    r"|inspection)"
    r"|guardrails?|moderation"
)
_REFUSED = (
    r"(?:violat\w*|flagged|blocked|filtered|rejected|refused|triggered|triggering|denied|failed"
    r"|caught|stopped|intervened|declined)"
)
_CONTENT = re.compile(
    rf"""
      \b{_REFUSED}\b.{{0,120}}(?:{_POLICY})
    | (?:{_POLICY}).{{0,80}}\b{_REFUSED}\b
    | \brequires[ ]moderation\b
    | \b{_INPUT}(?:[ ]\w+){{0,4}}[ ]flagged\b | \b(?:prompt|input)(?:[ ]\w+){{0,4}}[ ]blocked\b
    | \bcontent[ ](?:violates|is[ ]not[ ]allowed|exists[ ]risk|was[ ]flagged|is[ ]flagged)
    | \b(?:inappropriate|sensitive|unsafe|harmful|prohibited)[ ](?:\w+[ ])?(?:content|words?|text)\b
    | \bconsidered[ ]high[ ]risk\b | \bsafety_check_type | 敏感 | 不安全 | 违规 | 内容安全
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_ACCOUNT = re.compile(  # somebody is refused, not this content
    r"\b(?:account|organi[sz]ation|api[ -]?key|project|user|team|ip)\b(?:[ ]\S+){0,3}"
    r"[ ](?:is|was|has been|have been)[ ](?:\w+[ ])?"
    r"(?:flagged|suspended|blocked|disabled|banned|restricted)\b",
    re.IGNORECASE,
)


def is_out_of_credit(error: ServerError, status: int) -> bool:
    """Whether a refusal is about money.

    Args:
        error: what the server says.
        status: HTTP status, also one stated in an answer; 0 where there is none.
    """
    if status == 402 or not _CREDIT_CODES.isdisjoint(error.codes):
        return True
    # The code of one provider is a sentence.
    words = " ".join([error.message or "", *error.codes])
    if status == 403:
        return _CREDIT.search(words) is not None or _ABOUT_MONEY.search(words) is not None
    if status == 429:
        return _CREDIT.search(words) is not None
    return status < 500 and _CREDIT.search(words[:_OWN_WORDS]) is not None


def is_too_long(error: ServerError, status: int) -> bool:
    """Whether one request has more tokens than the model takes: no other time changes that."""
    if not _LENGTH_CODES.isdisjoint(error.codes):
        return True
    words = error.message or ""
    if _TOO_LARGE.search(words):
        return True
    if status == 429 and _RATE.search(words):
        return False
    return _LENGTH.search(words) is not None


def is_about_content(error: ServerError) -> bool:
    """Whether a filter or moderator refused what this prompt, or its answer, says."""
    if not _CONTENT_CODES.isdisjoint(error.codes):
        return True
    words = error.message or ""
    return _CONTENT.search(words) is not None and _ACCOUNT.search(words) is None
