"""Members on the wire and their routes."""

import uuid
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers, status
from rest_framework.mixins import DestroyModelMixin, ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.members import add_member, change_role, invite_again, remove_member
from accounts.models import Membership, Role, Scope
from api.base.views import ApiViewSet, EmptySerializer
from core.validation.fields import Choice, Instant, Text
from core.validation.strict import StrictSerializer

STATES = ("active", "invited", "disabled")
_SHOWN = {
    "id": "01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a",
    "username": "nina",
    "email": "nina@example.com",
    "role": "member",
    "state": "invited",
    "created_at": "2026-03-01T09:30:00.000Z",
}
_INVITATION = {
    "url": "https://hourhand.example.com/invitations/MTc/d2f1kq-4c1f0a5d0b7b3b0e9a6d7c5f2e1b8a94/",
    "expires_at": "2026-03-04T09:30:00.000Z",
}


class RoleField(Choice):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            choices=Role.choices,
            help_text="`viewer` reads; `member` also changes and runs jobs; `admin` also manages the workspace; "
            "`owner` also makes owners, and wipes it.",
            **options,
        )


class InvitationSerializer(serializers.Serializer):
    """The way in. Hand it over; it is shown once and works once, for whoever has it."""

    url = Text(help_text="Where they accept, with the account they have or a new one.")
    expires_at = Instant(help_text="When `url` stops working: three days after it was made.")


@extend_schema_serializer(
    examples=[
        OpenApiExample("Somebody new", {"email": "nina@example.com", "role": "member"}, request_only=True),
        OpenApiExample("Somebody with an account", {"username": "olga", "role": "admin"}, request_only=True),
        OpenApiExample("A member", _SHOWN, response_only=True),
    ]
)
class MemberSerializer(StrictSerializer):
    """A person's place in the workspace."""

    id = serializers.UUIDField(read_only=True, help_text="Of the membership, which names the member in paths.")
    username = Text(
        max_length=150,
        default="",
        help_text="Of the account; while `invited`, the one suggested for it, or the address where left out.",
    )
    email = Text(
        max_length=254,
        default="",
        help_text="The address that was invited. Nobody has proven that it is theirs.",
    )
    role = RoleField(default=Role.MEMBER)
    state = serializers.ChoiceField(
        choices=STATES,
        read_only=True,
        help_text="`invited`: has not accepted yet, and may do nothing; `disabled`: may not sign in to the dashboard.",
    )
    created_at = Instant(read_only=True, help_text="When they were added to the workspace.")

    def to_representation(self, instance: Membership) -> dict[str, Any]:
        return {
            "id": str(instance.pk),
            "username": instance.username,
            "email": instance.email,
            "role": instance.role,
            "state": instance.state,
            "created_at": self.fields["created_at"].to_representation(instance.created_at),
        }


@extend_schema_serializer(
    examples=[OpenApiExample("Somebody new", {**_SHOWN, "invitation": _INVITATION}, response_only=True)]
)
class AddedMemberSerializer(MemberSerializer):
    """A new member, and how they get in."""

    invitation = InvitationSerializer(help_text="How they get in.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        shown = MemberSerializer(instance.membership).data
        return {**shown, "invitation": InvitationSerializer(instance.invitation).data}


@extend_schema_serializer(examples=[OpenApiExample("Another role", {"role": "viewer"}, request_only=True)])
class RoleSerializer(StrictSerializer):
    role = RoleField()


@extend_schema_view(
    list=extend_schema(operation_id="members_list", summary="List members", responses=MemberSerializer(many=True)),
    create=extend_schema(
        operation_id="members_create",
        summary="Add a member",
        description="By username or email address, or both. You get an `invitation` to hand over; whoever accepts it "
        "is the member, with the account that they have or a new one. Nobody gives a role that reaches further than "
        "they do: only owners make owners, and keys that are bound or expire add nobody (403).",
        request=MemberSerializer,
        responses={201: AddedMemberSerializer},
    ),
    retrieve=extend_schema(operation_id="members_get", summary="Get a member"),
    partial_update=extend_schema(
        operation_id="members_patch",
        summary="Give a member another role",
        description="409 for the last owner.",
        request=RoleSerializer,
    ),
    destroy=extend_schema(
        operation_id="members_delete",
        summary="Remove a member, or withdraw an invitation; the account stays",
        description="409 for the last owner.",
        request=None,
        responses={204: None},
    ),
)
class MemberViewSet(ListModelMixin, RetrieveModelMixin, DestroyModelMixin, ApiViewSet):
    """The members of the workspace, invited ones included."""

    read_scope: str = Scope.ADMIN
    write_scope: str = Scope.ADMIN
    serializer_class = MemberSerializer
    lookup_url_kwarg = "member"
    noun = "member"

    def get_queryset(self) -> Any:
        return Membership.objects.filter(workspace=self.access.workspace).select_related("user", "workspace")

    @property
    def by(self) -> dict[str, Any]:
        """Who asks, and how far they reach."""
        return {"actor": self.access.actor, "limit": self.access.grant, "now": self.now}

    def create(self, request: Request) -> Response:
        body = self.read_body(request, MemberSerializer)
        added = add_member(workspace=self.access.workspace, **body, **self.by)
        headers = self.location(f"members/{added.membership.pk}")
        return Response(AddedMemberSerializer(added).data, status=status.HTTP_201_CREATED, headers=headers)

    def partial_update(self, request: Request, **_path: Any) -> Response:
        membership = self.get_object()
        role = self.read_body(request, RoleSerializer)["role"]
        changed = change_role(membership=membership, role=role, **self.by)
        return Response(MemberSerializer(changed).data)

    def perform_destroy(self, instance: Membership) -> None:
        remove_member(membership=instance, **self.by)

    @extend_schema(
        operation_id="members_invite",
        summary="Create a new invitation link",
        description="For somebody who has not accepted yet (else 409). The link before stops working.",
        request=EmptySerializer,
        responses={201: InvitationSerializer},
    )
    def invite(self, request: Request, member: uuid.UUID) -> Response:
        self.read_body(request, EmptySerializer)
        invitation = invite_again(membership=self.get_object(), **self.by)
        # The invitation's own URL is a secret, which is kept nowhere.
        headers = self.location(f"members/{member}")
        return Response(InvitationSerializer(invitation).data, status=status.HTTP_201_CREATED, headers=headers)
