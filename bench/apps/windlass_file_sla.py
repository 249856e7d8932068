"""file_sla as its function `sign_in` on Lambda, from an unpacked bundle: `python FILE EVENT [client]`.

Prints the status of the first answer. With `client`, a DynamoDB client is made first, as the engine makes it.
"""

import json
import os
import sys

os.environ.update(
    AWS_REGION="eu-west-1",
    WINDLASS_CURSOR_KEY="00" * 32,
    WINDLASS_HANDLER="sign_in",
    WINDLASS_STAGE="dev",
    WINDLASS_SYSTEM="file_sla",
)


class Context:
    aws_request_id = "1"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:file_sla-dev-sign_in"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


if __name__ == "__main__":
    from windlass.runtime.entry import handle

    if sys.argv[2:] == ["client"]:
        from windlass.engines.aws.clients import Clients

        Clients("eu-west-1", access_key="key", secret_key="secret").client("dynamodb")
    print("status", handle(json.loads(sys.argv[1]), Context())["statusCode"], flush=True)
