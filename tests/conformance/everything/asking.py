"""The tools that ask the client back: sampling, elicitation, roots, once or in several rounds."""

from functools import partial

from tests.conformance.everything.call import Call, Json, Tool, tool
from tests.conformance.everything.content import result, text


def elicitation(message: str, properties: Json, required: list[str] | None = None) -> Json:
    """An `elicitation/create` in form mode; all fields are required unless said otherwise."""
    names = list(properties) if required is None else required
    schema: Json = {"type": "object", "properties": properties} | ({"required": names} if names else {})
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def sampling(prompt: str, max_tokens: int = 100) -> Json:
    message = {"role": "user", "content": text(prompt)}
    return {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": max_tokens}}


ROOTS: Json = {"method": "roots/list", "params": {}}
NAME = elicitation("What is your name?", {"name": {"type": "string"}})
CONFIRM = elicitation("Please confirm", {"ok": {"type": "boolean"}})

DEFAULTS: Json = {
    "name": {"type": "string", "description": "User name", "default": "John Doe"},
    "age": {"type": "integer", "description": "User age", "default": 30},
    "score": {"type": "number", "description": "User score", "default": 95.5},
    "status": {
        "type": "string",
        "description": "User status",
        "enum": ["active", "inactive", "pending"],
        "default": "active",
    },
    "verified": {"type": "boolean", "description": "Verification status", "default": True},
}


def _titled(names: dict[str, str]) -> list[Json]:
    return [{"const": value, "title": title} for value, title in names.items()]


ENUMS: Json = {
    "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
    "titledSingle": {"type": "string", "oneOf": _titled({"value1": "First Option", "value2": "Second Option"})},
    "legacyEnum": {
        "type": "string",
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    },
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
    "titledMulti": {
        "type": "array",
        "items": {"anyOf": _titled({"value1": "First Choice", "value2": "Second Choice"})},
    },
}


async def ask_sampling(call: Call) -> Json:
    answer = (await call.ask({"sample": sampling(call.arguments["prompt"])}))["sample"]
    return result(text(f"LLM response: {answer['content'].get('text', '')}"))


async def ask_elicitation(call: Call) -> Json:
    fields = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    answer = (await call.ask({"user": elicitation(call.arguments["message"], fields)}))["user"]
    return result(text(f"User response: action={answer['action']}, content={answer.get('content')}"))


async def ask_fields(fields: Json, call: Call) -> Json:
    """Elicit the fields, none of them required."""
    answer = (await call.ask({"fields": elicitation("Please fill in the form", fields, [])}))["fields"]
    return result(text(f"Elicitation completed: action={answer['action']}, content={answer.get('content')}"))


async def ask_together(questions: dict[str, Json], call: Call) -> Json:
    """Ask everything at once and tell what came back."""
    answers = await call.ask(questions)
    state = " state-ok" if call.resumed else ""
    return result(text(f"Answered: {answers}{state}"))


async def multi_round(call: Call) -> Json:
    one = elicitation("Step 1: What is your name?", {"name": {"type": "string"}})
    two = elicitation("Step 2: What is your favorite color?", {"color": {"type": "string"}})
    answers = await call.ask({"step1": one})
    answers |= await call.ask({"step2": two})
    return result(text(f"Answered: {answers}"))


async def ask_what_is_declared(call: Call) -> Json:
    """Ask only what the client said it can answer."""
    questions = {
        "user_name": NAME,
        "capital_question": sampling("What is the capital of France?"),
        "client_roots": ROOTS,
    }
    possible = {key: question for key, question in questions.items() if call.may_ask(question["method"])}
    answers = await call.ask(possible) if possible else {}
    return result(text(f"Answered: {answers}"))


def asking_tools() -> list[Tool]:
    prompt = {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}
    message = {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}
    many = {"user_name": NAME, "greeting": sampling("Generate a greeting", 50), "client_roots": ROOTS}
    together: dict[str, dict[str, Json]] = {
        "test_streaming_elicitation": {"user_name": NAME},
        "test_input_required_result_elicitation": {"user_name": NAME},
        "test_input_required_result_sampling": {"capital_question": sampling("What is the capital of France?")},
        "test_input_required_result_list_roots": {"client_roots": ROOTS},
        "test_input_required_result_request_state": {"confirm": CONFIRM},
        "test_input_required_result_multiple_inputs": many,
        "test_input_required_result_tampered_state": {"confirm": CONFIRM},
    }
    return [
        tool("test_sampling", "Asks the client's model", ask_sampling, prompt),
        tool("test_elicitation", "Asks the user", ask_elicitation, message),
        tool("test_elicitation_sep1034_defaults", "Asks with defaults", partial(ask_fields, DEFAULTS)),
        tool("test_elicitation_sep1330_enums", "Asks with enums", partial(ask_fields, ENUMS)),
        *(tool(name, "Asks the client back", partial(ask_together, asked)) for name, asked in together.items()),
        tool("test_input_required_result_multi_round", "Asks in two rounds", multi_round),
        tool("test_input_required_result_capabilities", "Asks what the client can answer", ask_what_is_declared),
    ]
