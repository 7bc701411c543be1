"""The page at /: Swagger UI, which BentoML ships, on the document of `components.serving.openapi`."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="./static_content/swagger-ui.css">
<link rel="icon" type="image/png" href="./static_content/favicon-light-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="./static_content/swagger-ui-bundle.js" charset="utf-8"></script>
<script src="./docs.js" charset="utf-8"></script>
</body>
</html>
"""

# No validator badge: it would send the document to a server elsewhere.
# Where keys are asked for, the page asks whoever opened it for one, and keeps it until it is closed.
SCRIPT = """window.onload = async function () {
  const isOpen = (await fetch("./docs.json")).status !== 401;
  const key = isOpen ? "" : window.prompt("API key of this service") || "";
  window.ui = SwaggerUIBundle({
    url: "./docs.json", dom_id: "#swagger-ui", validatorUrl: null, deepLinking: true, tryItOutEnabled: true,
    requestInterceptor: (request) => { if (key) request.headers["X-API-Key"] = key; return request; },
    presets: [SwaggerUIBundle.presets.apis], layout: "BaseLayout"
  });
};
"""
